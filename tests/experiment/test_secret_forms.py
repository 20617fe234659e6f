"""What is recognised as a secret by its form, what is not, and how long the search takes."""

import time
from pathlib import Path

import pytest

from stilts.experiment.secret_forms import find_secrets
from stilts.experiment.secrets import holds_secret, is_secret_name, redact

MARK = "Zq7Geh3imXw9"
ROOT = Path(__file__).parents[2]

TOKENS = [
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2c3" * 6,
    "glpat-" + "a1B2c3" * 4,
    "sk-proj-Ab1" + "c" * 30,
    "sk-ant-api03-Ab1" + "c" * 30,
    "xoxb-123456789012-abcdefg",
    "AIza" + "a" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_123",
    "hf_" + "a" * 34,
]

SETTINGS = [
    f"password={MARK}",
    f"password = '{MARK} {MARK}'",
    f"PGPASSWORD={MARK}",
    f"MYSQL_PWD={MARK}",
    f"Server=x;Pwd={MARK};Database=y",
    f"password: {MARK}",
    f"password={MARK}(x",
    f'"password": "{MARK}"',
    f'{{\\"api_key\\": \\"{MARK}\\"}}',
    f"aws_secret_access_key = {MARK}",
    f"AccountName=x;AccountKey={MARK}==;",
    f"client_secret={MARK}",
    f"connect(token={MARK})",
    f"auth_token: {MARK}",
    f"Authorization: Basic {MARK}",
    f"{{'Authorization': 'Bearer {MARK}'}}",
    f"X-Api-Key: {MARK}",
    f"bearer {MARK}",
    f'Authorization: Digest username="me", response="{MARK}"',
    f"postgresql://u:{MARK}/x@host/db",
    f"postgresql://u:{MARK}'x@host/db",
    f"postgresql://u:a {MARK}@host/db",
    f"postgresql://u:a@{MARK}@host/db",
    f"redis://:{MARK}@host",
    f"https://{MARK}@host/x",
    f"https://host/x?X-Amz-Signature={MARK}",
]

HARMLESS = [
    "password: is required",
    "models.x.password: unknown key; did you mean 'path'?",
    "a secret: 5 of 6 models",
    "Unexpected token: foo",
    "pad_token: <pad>, cls_token='<s>' max_tokens=1000 tokenizer=XLMRobertaTokenizer token: 5",
    "KeyError: 'x'; key: xlmr-mnli-s1-0a1b2c3d4e5f, monkey=banana1",
    "PWD=/home/x",
    "token = uuid.uuid4().hex",
    "secret=None password=${PGPASSWORD} password=***",
    "http://127.0.0.1:8265, a@b.c",
    "postgresql://postgres@127.0.0.1:5432/name and mysql+pymysql://me@host/db",
    "hf://datasets/google/xtreme@0123abc/data.parquet",
    "the bearer authentication scheme; authorization: needed; cookie: not found",
    "6a09e667f3bcc908b2fb1366ea957d3e3adec17512775099da2f590b0667322a e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
    "/home/User1/Some/Path/To/Things/With40Char",
    "task-translated-file-name-2024-01-with-many-parts sk-translated-file-name-in-slovak-2024",
    "FacebookAI/xlm-roberta-base joeddav/xlm-roberta-large-xnli git@github.com:org/repo",
    "Пароль: секрет123 — это слово. 密码：你好世界 كلمة السر: سلام पासवर्ड: नमस्ते",
]


@pytest.mark.parametrize("token", TOKENS)
def test_tokens(token: str) -> None:
    assert redact(f"before '{token}', after", {}) == "before '[secret]', after"
    assert holds_secret(token, {}) is not None


@pytest.mark.parametrize("text", SETTINGS)
def test_settings_headers_and_uris(text: str) -> None:
    shown = redact(f"cannot connect ({text}) now", {})
    assert MARK not in shown
    assert "[secret]" in shown
    assert redact(shown, {}) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays(text: str) -> None:
    assert redact(text, {}) == text


LINES = [MARK * 5 + "/+a9", "b" + MARK * 5 + "/+a", MARK + "=="]


@pytest.mark.parametrize("kind", ["", "RSA ", "OPENSSH ", "EC ", "ENCRYPTED "])
@pytest.mark.parametrize("separator", ["\n", "\r\n", "\\n", "\n    ", "\n> ", "\\\\n"])
@pytest.mark.parametrize("part", ["whole", "no end", "no begin", "cut"])
def test_all_lines_of_a_private_key(kind: str, separator: str, part: str) -> None:
    lines = [f"-----BEGIN {kind}PRIVATE KEY-----", *LINES, f"-----END {kind}PRIVATE KEY-----"]
    lines = {"whole": lines, "no end": lines[:-1], "no begin": lines[1:], "cut": [*lines[:2], MARK]}[part]
    shown = redact(f"cannot read: {separator.join(lines)} and goes on", {})
    assert MARK not in shown
    assert shown.startswith("cannot read:")
    assert shown.endswith("goes on")


def test_the_text_between_two_private_keys_stays() -> None:
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *LINES, "-----END PRIVATE KEY-----"])
    assert redact(f"a {key} b {key} c", {}) == "a [secret] b [secret] c"


# --- values from the environment -----------------------------------------------------------------------------


SECRET_NAMES = """PGPASSWORD MYSQL_PWD DATABASE_URL AZURE_STORAGE_KEY AWS_SECRET_ACCESS_KEY REDISCLI_AUTH DB_PASS
OPENAI_API_KEY HUGGINGFACEHUB_API_TOKEN AZURE_STORAGE_CONNECTION_STRING SENTRY_DSN clientSecret"""
OTHER_NAMES = "PWD OLDPWD SSH_AUTH_SOCK PGPASSFILE AWS_PROFILE MONKEY SORT_KEY HF_HOME"


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", OTHER_NAMES.split())
def test_names_of_other_variables(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value", ["correct horse/staple", 'quo"ted\\value', "line-one-of-the-secret\nand-line-two-of-it"]
)
def test_a_value_is_found_in_every_form(value: str) -> None:
    import json
    from urllib.parse import quote

    for form in (value, json.dumps(value), repr(value), quote(value, safe="")):
        assert "[PGPASSWORD]" in redact(f"said {form} there", {"PGPASSWORD": value})


def test_words_and_short_values_are_no_secrets_inside_other_words() -> None:
    environment = {"PGPASSWORD": "postgres", "A_PASSWORD": "true", "B_PASSWORD": "dragonfly", "C_TOKEN": "12345678"}
    text = "postgresql://host is true; dragonflys; 0123456789"
    assert redact(text, environment) == text
    assert redact("said dragonfly.", environment) == "said [B_PASSWORD]."


def test_the_address_of_a_database_is_secret_only_with_a_password() -> None:
    plain, secret = "postgresql://host.example/db", f"postgresql://u:{MARK}@host/db"
    assert redact(f"at {plain}", {"DATABASE_URL": plain}) == f"at {plain}"
    assert redact(f"at {secret}", {"DATABASE_URL": secret}) == "at [DATABASE_URL]"


# --- what it costs, and false alarms ----------------------------------------------------------------------------

SHAPES = ["a", "A", "aA0/", "x://", "x://a:b@", "?key", "-----BEGIN PRIVATE KEY-----", "eyJaaaaaaaaa", "sk-", "pwd"]
SHAPES += ["bearer ", "authorization: basic ", 'password="', "-----END PRIVATE KEY-----", "\n", "token", " ", "://a:"]


def seconds(text: str) -> float:
    """The shortest of three runs, so that a busy machine does not count."""
    spans = []
    for _ in range(3):
        start = time.process_time()
        find_secrets(text)
        spans.append(time.process_time() - start)
    return min(spans)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("before", ["", "password=", "-----BEGIN PRIVATE KEY-----\n"])
def test_the_time_grows_with_the_length_and_not_its_square(shape: str, before: str) -> None:
    short, long = (seconds(before + shape * (size // len(shape))) for size in (15_000, 120_000))
    assert long < 25 * max(short, 0.002)  # eight times the text; its square would be 64 times the time


def test_a_long_error_text_is_searched_quickly() -> None:
    text = 'Traceback: value=1, key: b\n  File "/a/b/c.py", line 3, in run\n    raise ValueError(token)\n' * 12_000
    assert len(text) > 1_000_000
    assert seconds(text) < 0.2  # 0.06 s on an idle machine


def test_the_repository_holds_no_false_secret() -> None:
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("ray_jobs/**/*.yaml"), ROOT / "cluster.yaml"]
    alarms = [
        (f.name, text[s.start - 30 : s.end]) for f in files for text in [f.read_text()] for s in find_secrets(text)
    ]
    assert alarms == []
