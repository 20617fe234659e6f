"""Secrets reach neither the store nor the screen: a real experiment is run with marked ones in every tempting place."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stilts.errors import Problems, StiltsError
from stilts.experiment.load import load_experiment
from stilts.experiment.secrets import holds_secret, is_secret_name, redact
from stilts.ledger.record import read_failure, write_failure
from stilts.run.stage.ending import describe
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store

MARK = "s3cr3tM4rk"
SECRETS = {
    "HF_TOKEN": f"hf_{MARK}0000000000000001",
    "WANDB_API_KEY": f"{MARK}0000000000000002",
    "AWS_ACCESS_KEY_ID": f"AKIA{MARK.upper()}003",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}/+00000000000004",
    "AWS_SESSION_TOKEN": f"{MARK}0000000000000005",
    "RAY_AUTH_TOKEN": f"{MARK}000000000000000000000000006",
    "MLFLOW_TRACKING_PASSWORD": f"{MARK}0000000000000007",
    "MY_OWN_SECRET": f"{MARK}0000000000000008",
}

EXPERIMENT = """\
name: marked
store: {folder}/store
results: {folder}/results
seeds: [1]
models:
  tiny:
    init:
      config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}
      tokenizer: {{vocab_size: 400}}
intermediates: [none]
targets: [xnli]
recipe: {{precision: fp32, max_steps: 2, batch_size: 4}}
languages: [en, de]
data:
  xtreme: {folder}/xtreme
  tasks: {{mlm: {{train: "{folder}/{{lang}}.txt"}}}}
runtime: {{accelerator: cpu, max_retries: 0}}
"""
PAIRS = "A man eats.\tSomebody eats.\tentailment\nA man eats.\tNobody eats.\tcontradiction\n"


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A small experiment in a folder of its own."""
    folder = tmp_path / "xtreme" / "xnli"
    folder.mkdir(parents=True)
    for split, languages in (("train", "en"), ("dev", "en"), ("test", "en de")):
        for language in languages.split():
            (folder / f"{split}-{language}.tsv").write_text(PAIRS)
    (tmp_path / "en.txt").write_text("A man eats.\nSomebody sleeps.\nNobody reads a book.\n")
    (tmp_path / "marked.yaml").write_text(EXPERIMENT.format(folder=tmp_path))
    return tmp_path


@pytest.fixture
def short_folder() -> Iterator[str]:
    """Ray puts Unix sockets into its folder: the path must be short."""
    with tempfile.TemporaryDirectory(prefix="stilts-", dir="/tmp") as folder:
        yield folder


def stilts(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        [sys.executable, "-m", "stilts", *arguments],
        cwd=folder,
        env={**os.environ, **SECRETS, "PYTHONPATH": paths, **more},
        capture_output=True,
        check=False,
        timeout=300,
    )


def marks(folder: Path) -> list[str]:
    """Files that hold a mark, in their content or their name."""
    mark = MARK.lower().encode()
    files = (file for file in folder.rglob("*") if file.is_file())
    return [str(file) for file in files if mark in file.read_bytes().lower() or MARK.lower() in str(file).lower()]


@pytest.mark.slow
def test_a_run_that_fails_and_one_that_succeeds_leave_no_secret(marked: Path, short_folder: str) -> None:
    """Tokens in the environment of every process, and quoted by an error in a rank."""
    room = {"RAY_TMPDIR": short_folder}
    hook = marked / "hook"
    hook.mkdir()
    (hook / "quoting.py").write_text(
        "import os\n"
        "def run_stage(job, ranks, report):\n"
        "    raise RuntimeError('401 for https://user:' + os.environ['HF_TOKEN'] + '@hub/x?token='"
        " + os.environ['MY_OWN_SECRET'])\n"
    )
    (marked / "run.py").write_text(
        "import sys\n"
        "import stilts.run.tune_adapter.execute as run\n"
        "run.execute.__kwdefaults__['stage_function'] = 'quoting:run_stage'\n"
        "from stilts.cli import main\n"
        "main()\n"
    )
    paths = os.pathsep.join([str(hook), *(path for path in sys.path if path)])
    failed = subprocess.run(
        [sys.executable, "run.py", "run", "marked.yaml"],
        cwd=marked,
        env={**os.environ, **SECRETS, **room, "PYTHONPATH": paths},
        capture_output=True,
        check=False,
        timeout=300,
    )
    said = (failed.stdout + failed.stderr).decode()
    assert failed.returncode == 1, said
    assert "401 for" in said
    assert "[HF_TOKEN]" in said or "[secret]" in said
    assert MARK not in said
    (failure,) = (marked / "store").rglob("failure.json")
    assert "401 for" in failure.read_text()
    done = stilts(marked, "run", "marked.yaml", **room)
    said += (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    assert list((marked / "store").rglob("record.json"))
    for command in ("plan", "status", "collect"):
        shown = stilts(marked, command, "marked.yaml", "--json")
        said += (shown.stdout + shown.stderr).decode()
    assert MARK.lower() not in said.lower()
    assert marks(marked / "store") == []
    assert marks(marked / "results") == []


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_defect_that_quotes_a_secret(marked: Path, debug: str) -> None:
    (marked / "defect.py").write_text(
        "import os, stilts.session\n"
        "def broken(*_): raise RuntimeError('token ' + os.environ['HF_TOKEN'])\n"
        "stilts.session.Session.of = broken\n"
        "from stilts.cli import main\n"
        "main()\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(
        [sys.executable, "defect.py", "plan", "marked.yaml"],
        cwd=marked,
        env={**os.environ, **SECRETS, "PYTHONPATH": paths, "STILTS_DEBUG": debug},
        capture_output=True,
        check=False,
        timeout=120,
    )
    said = (ended.stdout + ended.stderr).decode()
    assert ended.returncode != 0
    assert "token [HF_TOKEN]" in said
    assert MARK not in said


# --- declarations ------------------------------------------------------------------------------------------

PLACES = [
    'store="{}"',
    'results="{}"',
    'data.xtreme="{}"',
    'data.tasks.mlm.train="{}"',
    'data.tasks.mnli={{hub: "{}", revision: abc}}',
    'models.tiny.init.config.name="{}"',
    'models={{m: {{hub: "{}", revision: abc}}}}',
    'settings.xnli.note="{}"',
    'settings.xnli={{"{}": 1}}',
    'name="{}"',
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("given", ["${HF_TOKEN}", "${MY_OWN_SECRET:-}", "value", "looks", "uri", "query"])
def test_a_declaration_holds_no_secret(marked: Path, place: str, given: str) -> None:
    if given.startswith("$") and '{{"{}": 1}}' in place:
        pytest.skip("keys are taken as they are written")
    values = {
        "value": f"x-{SECRETS['WANDB_API_KEY']}-y",
        "looks": f"hf_{MARK}AAAAAAAAAAAAAAAAAAAA",
        "uri": f"s3://user:{MARK}@bucket/x",
        "query": f"https://host/x?sig_token={MARK}",
    }
    with pytest.raises(Problems, match="needs no secret") as caught:
        load_experiment(marked / "marked.yaml", [place.format(values.get(given, given))], SECRETS)
    assert MARK not in str(caught.value)


def test_the_place_of_a_secret_is_told(marked: Path) -> None:
    text = (marked / "marked.yaml").read_text().replace(f"store: {marked}/store", "store: s3://me:pass1234@bucket/x")
    (marked / "marked.yaml").write_text(text)
    with pytest.raises(Problems, match=r"marked\.yaml:2: store: holds credentials in a URI") as caught:
        load_experiment(marked / "marked.yaml", environment={})
    assert "pass1234" not in str(caught.value)


def test_variables_that_are_no_secrets_are_replaced(marked: Path) -> None:
    environment = {"SCRATCH_DIR": "/scratch", "KEYBOARD": "qwerty", "TOKEN_PATH": "/x/token"}
    settings = ["data.labels=${SCRATCH_DIR}/labels", "results=${TOKEN_PATH}-${KEYBOARD}"]
    experiment = load_experiment(marked / "marked.yaml", settings, environment)
    assert experiment.data.labels == "/scratch/labels"
    assert experiment.results == "/x/token-qwerty"


def test_a_store_with_credentials_is_refused_without_repeating_them() -> None:
    for uri in (f"s3://me:{MARK}@bucket/x", f"gs://{MARK}@bucket", f"s3://bucket/x?secret_key={MARK}"):
        with pytest.raises(StiltsError) as caught:
            open_store(uri)
        assert MARK not in str(caught.value)


# --- redaction ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in SECRETS),
        ("GITHUB_TOKEN", True),
        ("DB_PASSWORD", True),
        ("apiKey", True),
        ("RAY_AUTH_TOKEN_PATH", False),
        ("RAY_AUTH_MODE", False),
        ("HOME", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("KEYBOARD", False),
        ("AWS_REGION", False),
    ],
)
def test_secret_names(name: str, secret: bool) -> None:
    assert is_secret_name(name) == secret


def test_redaction_takes_secrets_and_leaves_the_rest() -> None:
    for name, value in SECRETS.items():
        assert redact(f"before {value} after", SECRETS) == f"before [{name}] after"
        assert holds_secret(value, SECRETS) == f"the value of the environment variable {name}"
    assert (
        redact("s3://me:pass@bucket/x?region=eu&secret_key=abc", {})
        == "s3://[secret]@bucket/x?region=eu&secret_key=[secret]"
    )
    plain = "hf://datasets/google/xtreme@0123abc/data.parquet, http://127.0.0.1:8265, a@b.c, stages/x-0123456789ab"
    assert redact(plain, {"A_TOKEN": "short", "B_KEY": "stages/x"}) == plain
    assert holds_secret(plain, {}) is None


def test_a_path_in_a_secret_variable_stays(tmp_path: Path) -> None:
    """GOOGLE_APPLICATION_CREDENTIALS names a file, which messages about it must name."""
    key = tmp_path / "service-account.json"
    key.write_text("{}")
    assert redact(f"cannot read {key}", {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}) == f"cannot read {key}"


def test_failures_are_written_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRETS["WANDB_API_KEY"])
    result = describe(RuntimeError(f"login {SECRETS['WANDB_API_KEY']} failed"))
    assert result["error"] == "RuntimeError: login [WANDB_API_KEY] failed"
    assert MARK not in result["traceback"]
    store = LocalStore(tmp_path)
    write_failure(store, "a", {"status": "failed", "error": f"x {SECRETS['WANDB_API_KEY']}", "time": 1.0})
    assert (read_failure(store, "a") or {})["error"] == "x [WANDB_API_KEY]"
