"""Location: a bucket, a prefix in it and how to reach it, parsed from the URI of a store.

URIs are `s3://bucket/prefix` and `gs://bucket/prefix`, with the query parameters of pyarrow's URIs: `region` (S3),
`endpoint_override` (host:port of an S3-compatible server or an emulator) and `scheme` (http for no encryption). The
environment variables AWS_ENDPOINT_URL and AWS_REGION become part of an `s3://` URI, so that every machine that gets the
URI opens the same store. Credentials must not be part of it, because a URI is printed, recorded and sent to nodes.
"""

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from stilts.errors import StiltsError, nearest
from stilts.storage.protocol import check_path

_PARAMETERS = {"s3": ("region", "endpoint_override", "scheme"), "gs": ("endpoint_override", "scheme")}
_SECRET = re.compile("key|secret|token|password|credential", re.IGNORECASE)
_BUCKET = {
    "s3": re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "gs": re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"),
}
"""Names that S3 and Google Cloud Storage give to buckets."""
_LETTERS = {"s3": "lower-case letters, digits, '-' and '.'", "gs": "lower-case letters, digits, '-', '_' and '.'"}
_WHERE = {
    "s3": "in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile (AWS_PROFILE) or an instance role",
    "gs": "in the file that GOOGLE_APPLICATION_CREDENTIALS names, or a service account of the machine",
}


@dataclass(frozen=True)
class Location:
    """Attributes:
    prefix: folder in the bucket, empty for all of it.
    region: of the bucket; empty if it is not given.
    endpoint: `host:port` of the server; empty for the cloud's own.
    scheme: `https` or `http`.
    """

    kind: str
    bucket: str
    prefix: str
    region: str = ""
    endpoint: str = ""
    scheme: str = "https"

    @property
    def uri(self) -> str:
        """The URI that opens the same store from any machine that has credentials."""
        named = {"region": self.region, "endpoint_override": self.endpoint}
        query = urlencode({name: value for name, value in named.items() if value}, safe=":/")
        if self.scheme != "https":
            query += f"&scheme={self.scheme}" if query else f"scheme={self.scheme}"
        return f"{self}{'?' if query else ''}{query}"

    def __str__(self) -> str:
        return f"{self.kind}://{self.bucket}{'/' if self.prefix else ''}{self.prefix}"


def parse_uri(uri: str) -> Location:
    """Parse the URI of a store.

    Raises:
        StiltsError: it has credentials (which the message does not repeat), no bucket, or an unknown parameter.
    """
    kind = uri.partition("://")[0]
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise StiltsError(f"the store's {kind}:// URI is not valid: give it as {kind}://BUCKET/PREFIX") from None
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    endpoint, scheme = given.get("endpoint_override", ""), given.get("scheme", "https")
    if "@" in parts.netloc or "@" in endpoint or any(_SECRET.search(name) for name in given):
        raise StiltsError(f"the store's {kind}:// URI holds credentials; take them out and give them {_WHERE[kind]}")
    for name in given:
        if name not in _PARAMETERS[kind]:
            raise StiltsError(f"store {uri!r}: no parameter {name!r}; {nearest(name, _PARAMETERS[kind])}")
    prefix = parts.path.removeprefix("/").removesuffix("/")
    if not parts.netloc or parts.fragment:
        raise StiltsError(f"store {uri!r}: give it as {kind}://BUCKET/PREFIX")
    if not _BUCKET[kind].fullmatch(parts.netloc):
        raise StiltsError(
            f"store {uri!r}: {parts.netloc!r} is no name of a bucket (3 or more {_LETTERS[kind]}); "
            f"give it as {kind}://BUCKET/PREFIX"
        )
    if prefix:
        check_path(prefix)
    region = given.get("region", "")
    if kind == "s3":
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if "://" in endpoint:
        scheme, _, endpoint = endpoint.partition("://")
    if scheme not in ("http", "https"):
        raise StiltsError(f"store {uri!r}: scheme is http or https")
    return Location(kind, parts.netloc, prefix, region, endpoint.rstrip("/"), scheme)
