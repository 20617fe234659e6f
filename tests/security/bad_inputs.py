"""The table of bad inputs: what is given, the exit status, and a part of the message. `main` prints it as Markdown.

    python -m tests.security.bad_inputs

Each row changes one thing of a small experiment that plans without a problem.
"""

import contextlib
import gzip
import io
import json
import lzma
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from unittest import mock

from stilts.cli import main as program

SECONDS = 20
"""Most that one input may take; on an idle machine each takes less than two."""
MOST_OUTPUT = 20_000
"""Characters that one answer may have."""

PAIRS = "A man eats.\tSomebody eats.\tentailment\nA man eats.\tNobody eats.\tcontradiction\n"
EXPERIMENT = """\
name: tiny
store: store
seeds: [1]
models:
  tiny:
    init:
      config: {model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}
      tokenizer: {vocab_size: 300}
intermediates: [none]
targets:
  xnli: {languages: [en]}
recipe: {precision: fp32, max_steps: 2}
data:
  xtreme: xtreme
  tasks:
    mlm: {train: "{lang}.txt"}
languages: present
"""

Prepare = Callable[[], None]


@dataclass(frozen=True)
class Row:
    """One bad input.

    Attributes:
        kind: what of the program's input is bad.
        name: the input in words.
        prepare: makes it in the working folder.
        arguments: of the command line.
        message: part of standard error.
    """

    kind: str
    name: str
    prepare: Prepare
    arguments: tuple[str, ...]
    message: str
    status: int = 1


def nothing() -> None:
    """The input is the command line itself."""


def lay_out() -> None:
    """Write the good experiment and its data into the working folder."""
    folder = Path("xtreme/xnli")
    folder.mkdir(parents=True)
    for name in ("train-en", "dev-en", "test-en"):
        (folder / f"{name}.tsv").write_text(PAIRS)
    Path("en.txt").write_text("A man eats.\nSomebody sleeps.\n")
    Path("e.yaml").write_text(EXPERIMENT)


# --- YAML ----------------------------------------------------------------------------------------------------


def yaml(name: str, content: str | bytes, message: str) -> Row:
    """A file that is no experiment at all."""
    data = content.encode() if isinstance(content, str) else content
    return Row("YAML", name, lambda: Path("e.yaml").write_bytes(data) and None, ("plan", "e.yaml"), message)


def field(name: str, old: str, new: str, message: str) -> Row:
    """The experiment with one part replaced."""
    assert old in EXPERIMENT, old
    return yaml(name, EXPERIMENT.replace(old, new, 1), message)


def more(name: str, text: str, message: str) -> Row:
    """The experiment with further lines."""
    return yaml(name, f"{EXPERIMENT}{text}\n", message)


def bomb(levels: int, width: int) -> str:
    """Aliases that multiply each other."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels + 1)]
    return "\n".join(lines)


def merges(levels: int) -> str:
    """Merge keys that multiply each other."""
    lines = ["m0: &m0 {k: 1}"]
    lines += [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}" for i in range(1, levels + 1)]
    return "\n".join(lines)


DEEP, VERSIONS, FINITE = "nested more than 40 deep", "read as different values", "is no value for an experiment"
YAML = (
    yaml("aliases, 9 levels of 10", bomb(9, 10), "more than 100,000 values"),
    yaml("aliases, 60 in a row", bomb(60, 1), DEEP),
    yaml("merge keys, 9 levels of 10", merges(9), "<< is not read here"),
    yaml("an alias to itself", "a: &a [*a]", "a cycle"),
    yaml("10,000 open brackets", "a: " + "[" * 10_000, DEEP),
    yaml("10,000 brackets", "a: " + "[" * 10_000 + "]" * 10_000, DEEP),
    yaml("10,000 braces", "a: " + "{a: " * 10_000 + "1" + "}" * 10_000, DEEP),
    yaml("10,000 dashes", "- " * 10_000 + "1", DEEP),
    yaml("600 indented levels", "\n".join("  " * i + "a:" for i in range(600)), DEEP),
    yaml("a text of 1 MB", f"name: {'x' * 1_000_000}", "more than 500,000 bytes"),
    yaml("a text of 400 kB", EXPERIMENT.replace("name: tiny", f"name: {'x' * 400_000}"), "is too long"),
    yaml("an empty file", "", "this is empty"),
    yaml("a list", "- a\n- b\n", "this is a list"),
    yaml("a text", "hello", "this is text"),
    yaml("binary", bytes(range(128, 256)), "not UTF-8"),
    yaml("UTF-16", EXPERIMENT.encode("utf-16"), "not UTF-8"),
    yaml("a NUL", EXPERIMENT.replace("tiny", "ti\0ny"), "not valid YAML"),
    yaml("gzip", gzip.compress(EXPERIMENT.encode()), "not UTF-8"),
    yaml("a tab as indentation", "models:\n\ttiny: 1", "not valid YAML"),
    yaml("two documents", f"{EXPERIMENT}---\nname: b\n", "found another document"),
    yaml("an open quote", 'name: "tiny', "not valid YAML"),
    yaml("an alias of nothing", "name: *x", "undefined alias"),
    more("a key twice", "name: again", "given twice"),
    more("a tag of Python", "results: !!python/object/apply:os.system [id]", "is not read here"),
    more("a tag of binary", "results: !!binary aGFsbG8=", "would change the type"),
    more("an unknown key", "recpie: {epochs: 1}", "did you mean 'recipe'?"),
    more("an escape character as a key", '"\\e[31m": 1', "unknown key"),
    more("an escape character in text", 'results: "a\\e]0;x\\a"', "control character"),
    more("a list as a key", "? [a, b]\n: 1", "a key must be a plain word"),
    field("an octal number", "[1]", "[010]", VERSIONS),
    field("a sexagesimal number", "[1]", "[1:30]", VERSIONS),
    field("a hexadecimal number", "[1]", "[0x10]", VERSIONS),
    field("a number with underscores", "[1]", "[1_000]", VERSIONS),
    field("a truth value as a seed", "[1]", "[true]", "should be a whole number, not a truth value"),
    field("yes as a seed", "[1]", "[yes]", "should be a whole number, not text ('yes')"),
    field("a seed of 65 bits", "[1]", "[36893488147419103232]", "seeds.0: should be"),
    field("a seed of 5,000 digits", "[1]", f"[{'9' * 5000}]", "a number of 5000 digits"),
    field("a seed below 0", "[1]", "[-1]", "seeds.0: should be greater than or equal to 0"),
    field("a seed twice", "[1]", "[1, 1]", "given twice"),
    field("no seeds", "[1]", "[]", "seeds: is empty"),
    field("1e999", "max_steps: 2", "learning_rate: 1e999", FINITE),
    field("infinity", "max_steps: 2", "learning_rate: .inf", FINITE),
    field("not a number", "max_steps: 2", "learning_rate: .nan", FINITE),
    field("epochs of 1e-12", "max_steps: 2", "epochs: 1e-12", "epochs are no training"),
    field("epochs of 1e18", "max_steps: 2", "epochs: 1e18", "should be less than or equal to"),
    field("a vocabulary of 1", "vocab_size: 300", "vocab_size: 1", "should be greater than or equal to 16"),
    field("a hidden size that is text", "hidden_size: 16", "hidden_size: x", "hidden_size"),
    field("a hidden size of 10**30", "hidden_size: 16", f"hidden_size: {10**30}", "hidden_size"),
    field("a hidden size below 0", "hidden_size: 16", "hidden_size: -16", "hidden_size"),
    field("layers that are a list", "num_hidden_layers: 1", "num_hidden_layers: [1]", "num_hidden_layers"),
    field("an unknown architecture", "xlm-roberta", "xlm-roberto", "xlm-roberto"),
    field("a path as a name", "name: tiny", "name: ../../etc", "should begin with a letter or digit"),
    field("a date as a name", "name: tiny", "name: [2020-01-01]", "should be text, not a list"),
    field("an unknown task", "xnli:", "xnlli:", "xnlli"),
    field("an evaluation length below 0", "{languages: [en]}", "{settings: {max_length: -5}}", "max_length"),
    field("an empty store", "store: store", 'store: ""', "store"),
    field("a password of a store", "store: store", "store: s3://u:hunter2@b/x", "credentials in a URI"),
    field("a secret of the environment", "store: store", 'store: "${PGPASSWORD}"', "PGPASSWORD is secret by its name"),
    field("a folder that is no checkpoint", "    init:", "    path: /nowhere\n    unit:", "unknown key"),
)


# --- data ----------------------------------------------------------------------------------------------------

TRAIN = Path("xtreme/xnli/train-en.tsv")


def data(name: str, prepare: Prepare, message: str, arguments: tuple[str, ...] = ("plan", "e.yaml")) -> Row:
    """The training file is replaced."""
    return Row("data", name, prepare, arguments, message)


def content(name: str, given: bytes, message: str) -> Row:
    """The training file has other bytes."""
    return data(name, lambda: TRAIN.write_bytes(given) and None, message)


def json_data(name: str, text: str, message: str) -> Row:
    """A training file of SQuAD."""

    def prepare() -> None:
        Path("squad.json").write_text(text)
        changed = EXPERIMENT.replace("xnli: {languages: [en]}", "xquad: {languages: [en]}")
        declared = "squad: {train: squad.json, dev: squad.json}\n    mlm:"
        Path("e.yaml").write_text(changed.replace("mlm:", declared, 1))

    return data(name, prepare, message)


def replaced(make: Callable[[Path], object]) -> Prepare:
    """Put something else in the place of the training file."""

    def prepare() -> None:
        TRAIN.unlink()
        make(TRAIN)

    return prepare


def listen(path: Path) -> None:
    """Leave a socket at a path."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


NO_FILE = "is a pipe or a device"
DATA = (
    data("a pipe", replaced(os.mkfifo), NO_FILE),
    data("/dev/zero", replaced(lambda path: path.symlink_to("/dev/zero")), NO_FILE),
    data("/dev/urandom", replaced(lambda path: path.symlink_to("/dev/urandom")), NO_FILE),
    data("a socket", replaced(listen), NO_FILE),
    data("a folder", replaced(lambda path: path.mkdir()), "train-en.tsv"),
    data("a link to itself", replaced(lambda path: path.symlink_to(path.name)), "train-en.tsv"),
    content("an empty file", b"", "is empty"),
    content("blanks alone", b" \n\n ", "is empty"),
    content("gzip", gzip.compress(PAIRS.encode()), "is packed with gzip"),
    content("zip", b"PK\x03\x04" + bytes(50), "is packed with zip"),
    content("xz", lzma.compress(PAIRS.encode()), "is packed with xz"),
    content("zstd", b"(\xb5/\xfd" + bytes(50), "is packed with zstd"),
    content("bzip2", b"BZh91AY&SY" + bytes(50), "is packed with bzip2"),
    content("parquet", b"PAR1" + bytes(50), "is a Parquet file"),
    content("an Arrow file", b"ARROW1\0\0" + bytes(50), "is an Arrow file"),
    content("a pickle", b"\x80\x04\x95" + bytes(50), "is a pickle"),
    content("a PDF", b"%PDF-1.7\n" + bytes(50), "is a PDF file"),
    content("SQLite", b"SQLite format 3\0" + bytes(50), "is an SQLite database"),
    content("UTF-16", PAIRS.encode("utf-16"), "is UTF-16"),
    content("a NUL", PAIRS.replace("man", "m\0n").encode(), "a NUL byte"),
    content("Latin-1", PAIRS.replace("man", "m\xe4n").encode("latin-1"), "byte 0xe4 is not UTF-8"),
    content("one column", b"hello\n" * 50, "train-en.tsv:1:"),
    content("100,000 columns", b"a\t" * 100_000, "columns"),
    content("a line of 5 MB", b"a" * 5_000_000, "train-en.tsv:1:"),
    content("carriage returns as line ends", PAIRS.replace("\n", "\r").encode(), "carriage return"),
    content("an unknown label", PAIRS.replace("entailment", "\x1b[31mperhaps").encode(), "\\x1b[31mperhaps"),
    content("a web page", b"<!DOCTYPE html><html><body>404</body></html>", "train-en.tsv:1:"),
    json_data("JSON nested 100,000 deep", "[" * 100_000, "squad.json"),
    json_data("JSON nested 100,000 deep inside", '{"data": ' + "[" * 100_000 + "]" * 100_000 + "}", "squad.json"),
    json_data("an extra field nested 5,000 deep", '{"data": [], "x": ' + "[" * 5000 + "]" * 5000 + "}", "squad.json"),
    json_data("JSON with a number of 5,000 digits", '{"data": [], "x": ' + "9" * 5000 + "}", "squad.json"),
    json_data("JSON that is cut off", '{"data": [{"para', "squad.json:1:"),
    json_data("JSON of another shape", '{"data": 5}', "squad.json:1: data"),
    json_data("JSON with a key twice", '{"data": [], "data": []}', "more than once"),
    json_data("JSON with half a character", '{"data": [{"paragraphs": "\\ud800"}]}', "squad.json"),
)


# --- checkpoints -----------------------------------------------------------------------------------------------

CONFIG = {
    "model_type": "xlm-roberta",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 300,
    "max_position_embeddings": 130,
}


def checkpoint(name: str, message: str, **files: bytes | str | Callable[[Path], object]) -> Row:
    """A folder with a configuration, weights and a tokenizer, of which some are replaced (`.` is written `__`)."""

    def prepare() -> None:
        folder = Path("model")
        folder.mkdir()
        vocabulary = json.dumps({"model": {"vocab": [["<s>", 0], ["<pad>", 0]]}})
        given = {"config__json": json.dumps(CONFIG), "model__safetensors": header({}), "tokenizer__json": vocabulary}
        for key, value in {**given, **files}.items():
            path = folder / key.replace("__", ".")
            if callable(value):
                value(path)
            elif value:
                path.write_bytes(value.encode() if isinstance(value, str) else value)
        init = EXPERIMENT[EXPERIMENT.index("    init:") : EXPERIMENT.index("intermediates:")]
        Path("e.yaml").write_text(EXPERIMENT.replace(init, "    path: model\n"))

    return Row("checkpoint", name, prepare, ("plan", "e.yaml"), message)


def header(tensors: object, length: int | None = None) -> bytes:
    """A safetensors file without numbers; `length`: what it claims as the length of its header."""
    text = json.dumps(tensors).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text


INDEX = "model__safetensors__index__json"
SHARDS = json.dumps({"weight_map": {f"w{i}": f"m-{i}.safetensors" for i in range(100_000)}})
NO_TENSORS, NO_CONFIG = "is no safetensors file", "config.json"
CHECKPOINT = (
    checkpoint("config.json is a pipe", NO_CONFIG, config__json=os.mkfifo),
    checkpoint("config.json is a folder", NO_CONFIG, config__json=lambda path: path.mkdir()),
    checkpoint("config.json is missing", NO_CONFIG, config__json=b""),
    checkpoint("config.json nested 100,000 deep", NO_CONFIG, config__json="[" * 100_000),
    checkpoint("config.json is a list", NO_CONFIG, config__json="[]"),
    checkpoint("config.json is no JSON", NO_CONFIG, config__json="{"),
    checkpoint("config.json of 50 MB", NO_CONFIG, config__json='{"a": "' + "x" * 50_000_000 + '"}'),
    checkpoint(
        "a hidden size of 5,000 digits",
        NO_CONFIG,
        config__json='{"model_type": "xlm-roberta", "hidden_size": ' + "9" * 5000 + "}",
    ),
    checkpoint("a hidden size that is text", "hidden_size", config__json=json.dumps({**CONFIG, "hidden_size": "x"})),
    checkpoint("no architecture", NO_CONFIG, config__json="{}"),
    checkpoint("weights are a pipe", "model.safetensors", model__safetensors=os.mkfifo),
    checkpoint("weights are empty", "model.safetensors", model__safetensors=b""),
    checkpoint("a header of 2**63 bytes", NO_TENSORS, model__safetensors=header({}, 2**63)),
    checkpoint("a header longer than the file", NO_TENSORS, model__safetensors=header({}, 90_000_000)),
    checkpoint(
        "a header nested 100,000 deep", NO_TENSORS, model__safetensors=(100_000).to_bytes(8, "little") + b"[" * 100_000
    ),
    checkpoint("a header that is a list", NO_TENSORS, model__safetensors=header([])),
    checkpoint(
        "a tensor beyond the end",
        "truncated",
        model__safetensors=header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**30]}}),
    ),
    checkpoint("a tensor without a shape", "model", model__safetensors=header({"w": {"data_offsets": [0, 0]}})),
    checkpoint("a pickle as weights", NO_TENSORS, model__safetensors=b"\x80\x04\x95" + bytes(50)),
    checkpoint("an index of 100,000 missing files", "missing", model__safetensors=b"", **{INDEX: SHARDS}),
    checkpoint("an index nested 100,000 deep", "index.json", model__safetensors=b"", **{INDEX: "[" * 100_000}),
    checkpoint(
        "an index that names a pickle",
        "index.json",
        model__safetensors=b"",
        **{INDEX: '{"weight_map": {"w": "x.bin"}}'},
    ),
    checkpoint(
        "an index that leaves the folder",
        "index.json",
        model__safetensors=b"",
        **{INDEX: '{"weight_map": {"w": "../x.safetensors"}}'},
    ),
    checkpoint("a tokenizer nested 100,000 deep", "tokenizer", tokenizer__json="[" * 100_000),
    checkpoint("a tokenizer that is a pipe", "tokenizer", tokenizer__json=os.mkfifo),
)


# --- the store and the command line ----------------------------------------------------------------------------


def stored(name: str, file: str, given: bytes, *arguments: str, message: str, status: int = 1) -> Row:
    """A file in the store."""

    def prepare() -> None:
        path = Path("store") / file
        path.parent.mkdir(parents=True)
        path.write_bytes(given)

    return Row("store", name, prepare, arguments, message, status)


def command(name: str, *arguments: str, message: str, status: int = 1, prepare: Prepare = nothing) -> Row:
    """A command line."""
    return Row("command line", name, prepare, arguments, message, status)


def setting(name: str, given: str, message: str) -> Row:
    """A value of --set."""
    return command(name, "plan", "e.yaml", "--set", given, message=message)


def patch(name: str, prepare: Prepare, message: str) -> Row:
    """A file of --with."""
    return command(name, "plan", "e.yaml", "--with", "patch.yaml", message=message, prepare=prepare)


STORE = (
    Row("store", "is a file", lambda: Path("store").write_text("x") and None, ("plan", "e.yaml"), "store"),
    Row("store", "is a pipe", lambda: os.mkfifo("store"), ("plan", "e.yaml"), "store"),
    Row("store", "a link to itself", lambda: Path("store").symlink_to("store"), ("plan", "e.yaml"), "store"),
    stored("no such stage", "stages/x/record.json", b"{}", "explain", "nope", "-e", "e.yaml", message="nope"),
)
COMMAND_LINE = (  # a text of 100 kB is the longest that Linux passes as one argument
    setting("an unknown key", "foo.bar=1", "--set: foo"),
    setting("no value", "foo", "write it as path.to.field=value"),
    setting("no name", "=1", "write it as path.to.field=value"),
    setting("an empty text", "", "write it as path.to.field=value"),
    setting("2,000 levels", "a." * 2000 + "b=1", DEEP),
    setting("60 brackets", f"recipe={'[' * 60}{']' * 60}", DEEP),
    setting("10,000 brackets", "recipe=" + "[" * 10_000, "--set recipe"),
    setting("a text of 100 kB", "name=" + "x" * 100_000, "--set: name"),
    setting("no YAML, 100 kB", 'name="' + "x" * 100_000, "--set name"),
    setting("an alias bomb", "a=" + "{" + bomb(6, 10).replace("\n", ", ") + "}", "more than 100,000 values"),
    setting("an octal number", "recipe.max_steps=010", VERSIONS),
    setting("a number of 5,000 digits", "recipe.max_steps=" + "9" * 5000, "a number of 5000 digits"),
    setting("infinity", "recipe.learning_rate=.inf", FINITE),
    setting("a field of a list", "seeds.0=3", "seeds is a list"),
    setting("a field of a number", "recipe.max_steps.x=3", "max_steps has no fields"),
    setting("an escape character", 'name="\\e[31m"', "control character"),
    setting("bytes that are no text", "name=\udcff\udcfe", "name"),
    setting("a secret", "results=password=Zq7Geh3im", "a password or token"),
    command("a missing file", "plan", "nope.yaml", message="cannot read"),
    command("a folder", "plan", ".", message="cannot read"),
    command("an empty name", "plan", "", message="cannot read"),
    command("a name of 5,000 letters", "plan", "x" * 5000, message="cannot read"),
    command("a name with an escape character", "plan", "\x1b[31mx.yaml", message="\\x1b[31mx.yaml"),
    command("a name that is no text", "plan", "\udcff.yaml", message="cannot read"),
    command("a pipe", "plan", "pipe", message="is a named pipe", prepare=lambda: os.mkfifo("pipe")),
    command("/dev/zero", "plan", "/dev/zero", message="more than 500,000 bytes"),
    command("an unknown command", "plam", message="No such command", status=2),
    command("an unknown option", "plan", "e.yaml", "--sett", "a=1", message="No such option", status=2),
    command("no argument", "plan", message="Missing argument", status=2),
    command("an option without a value", "plan", "e.yaml", "--set", message="requires an argument", status=2),
    command("a limit that is text", "run", "e.yaml", "--max-cost", "x", message="should be a valid number", status=2),
    command("a limit that is no number", "run", "e.yaml", "--max-cost", "nan", message="Invalid value", status=2),
    command("a limit below 0", "run", "e.yaml", "--max-gpu-hours", "-1", message="Invalid value", status=2),
    command("an unknown field", "fields", "recipe.epoch", message="did you mean"),
    patch("a patch that is missing", nothing, "cannot read"),
    patch("a patch that is a folder", lambda: Path("patch.yaml").mkdir(), "cannot read"),
    patch("a patch that is a pipe", lambda: os.mkfifo("patch.yaml"), "is a named pipe"),
    patch("a patch that is a list", lambda: Path("patch.yaml").write_text("[1]") and None, "this is a list"),
    command("predictions that are missing", "score", "--predictions", "x", "--labels", "y", message="x"),
    command("a folder of data that is missing", "init", "nowhere", "--out", "n.yaml", message="nowhere"),
    command("a report where no folder can be", "report", "e.yaml", "--out", "/dev/null/x.html", message="/dev/null"),
    command("a store that is a bad URI", "doctor", "--store", "s3:/b/x", message="s3:/b/x"),
)

ROWS: tuple[Row, ...] = (*YAML, *DATA, *CHECKPOINT, *STORE, *COMMAND_LINE)


@contextlib.contextmanager
def _working_folder() -> Iterator[None]:
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="stilts-bad-") as folder:
        os.chdir(folder)
        try:
            lay_out()
            yield
        finally:
            os.chdir(before)


class TookTooLong(BaseException):
    """Not an Exception, so that no handler of the program takes it."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


@contextlib.contextmanager
def prepared(row: Row) -> Iterator[None]:
    """Work in a folder with the bad input."""
    with _working_folder():
        row.prepare()
        yield


def answer(row: Row) -> tuple[int, str]:
    """Exit status and output of a row's command, in this process.

    Raises:
        TookTooLong: more than SECONDS.
    """
    out = io.StringIO()
    environment = {"COLUMNS": "1000", "HF_HUB_OFFLINE": "1", "PGPASSWORD": "not-to-be-told"}
    with (
        prepared(row),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["stilts", *row.arguments]),
    ):
        before = signal.signal(signal.SIGALRM, _stop)
        signal.alarm(SECONDS)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                program()
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
    return 0, out.getvalue()


def main() -> None:
    """Print the table with the first lines of each message."""
    print("| input | | status | message |\n|---|---|---|---|")
    for row in ROWS:
        try:
            status, text = answer(row)
        except TookTooLong:
            status, text = -1, "no answer"
        wrong = "" if status == row.status and row.message in " ".join(text.split()) else " **unexpected**"
        shown = " ".join(text.replace("|", "\\|").split())
        print(f"| {row.kind} | {row.name} | {status}{wrong} | {shown[:300]} |")


if __name__ == "__main__":
    main()
