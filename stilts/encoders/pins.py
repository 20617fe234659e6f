"""What is known of the pinned revision of a hub model before it is downloaded, and commits for moving names."""

import re

from stilts.encoders.architectures import Published, published
from stilts.encoders.kinds import INSTEAD
from stilts.errors import StiltsError

_OWN_CODE = "needs code that comes with the checkpoint, which is never executed"
_DECODER = "is a decoder: under its causal mask the first token does not see the text"
_UNUSABLE = {
    **dict.fromkeys(("chandar-lab/neobert", "jinaai/jina-embeddings-v3"), _OWN_CODE),
    **dict.fromkeys((f"qwen/qwen3-embedding-{size}" for size in ("0.6b", "4b", "8b")), _DECODER),
}
"""Checkpoints that people try and that cannot be trained, by lower-case id. Of all others, config.json decides."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Whether a revision is a whole commit, which never changes, and not a branch, tag or pull request."""
    return _COMMIT.fullmatch(revision) is not None


def known_pin(hub: str) -> Published | None:
    """What is known of a hub id; None if nothing is."""
    found = published().get(hub.rpartition("/")[2].lower())
    return found if found is not None and found.id.lower() == hub.lower() else None


def pin_problem(hub: str, revision: str) -> str | None:
    """Why a hub model cannot be trained here: it is known to be of no use, or the revision to hold no safetensors. None
    if it can, or if nothing is known."""
    unusable = _UNUSABLE.get(hub.lower())
    if unusable is not None:
        return f"{hub} {unusable}; {INSTEAD}"
    known = known_pin(hub)
    if known is None or revision not in known.without:
        return None
    return (
        f"{hub}@{revision} has no safetensors, and other weight files are never loaded; "
        f"take revision: {known.revision or 'one of the hub conversion (refs/pr/N)'}"
    )


def pin_is_known(hub: str, revision: str) -> bool:
    """Whether the revision was seen to hold safetensors."""
    known = known_pin(hub)
    if known is None or not known.seen:
        return False
    return revision == known.revision or bool(known.commit and revision.startswith(known.commit))


def pin_warning(hub: str, revision: str) -> str | None:
    """What is not known of a revision; None if it was seen to hold safetensors."""
    if pin_is_known(hub, revision):
        return None
    known = known_pin(hub)
    hint = f"; known to load: {known.revision}" if known is not None and known.seen else ""
    return f"{hub}@{revision}: not known to hold safetensors; it is checked before the first trial{hint}"


def resolve_revision(hub: str, revision: str) -> str:
    """The commit that a branch, tag or pull request points to; a commit is returned as it is.

    The Hugging Face cache of this machine is asked first, then the hub.

    Raises:
        StiltsError: neither knows the revision.
    """
    if is_commit(revision):
        return revision
    from huggingface_hub import HfApi, try_to_load_from_cache

    cached = try_to_load_from_cache(hub, "config.json", revision=revision)
    if isinstance(cached, str) and (found := re.search(r"snapshots/([0-9a-f]{40})/", cached.replace("\\", "/"))):
        return found.group(1)
    from stilts.encoders.hub import ask_hub

    try:
        commit = ask_hub(lambda: HfApi().model_info(hub, revision=revision, timeout=10).sha)
    except Exception as error:  # the hub client raises many kinds; each means that it has no answer
        reason = str(error).strip().partition("\n")[0]
        raise StiltsError(moving_name(hub, revision, f" ({reason})")) from None
    if commit is None:
        raise StiltsError(f"{hub}@{revision}: the hub names no commit; give the commit of 40 hex digits")
    return commit


def moving_name(hub: str, revision: str, why: str = "") -> str:
    """The message about a revision whose commit is not known."""
    return (
        f"{hub}@{revision} is a name that can move, and its commit cannot be looked up{why}; give the commit of 40 hex "
        "digits, or connect to the hub once"
    )
