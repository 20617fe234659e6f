"""Code that comes with a checkpoint or a data set is never executed, and nothing in the source asks for it."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import stilts
from stilts.data.sources import hub
from stilts.errors import StiltsError
from stilts.tasks.base import HubSource, get_task
from stilts.train.base import materialise_base
from stilts.train.model import Model
from tests.security.conftest import Trap

ROOT = Path(stilts.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def _change(file: Path, **fields: object) -> None:
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**content, **fields}))


def _plant(base: Path, trap: Trap) -> None:
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py"):
        (base / name).write_text(trap.code)


AUTO_MAP = {
    "AutoConfig": "configuration_evil.Config",
    "AutoModel": "modeling_evil.Model",
    "AutoTokenizer": ["tokenization_evil.Tokenizer", "tokenization_evil.Tokenizer"],
}


def test_a_known_architecture_is_read_with_its_own_code(base: Path, trap: Trap, tmp_path: Path) -> None:
    """The checkpoint's code is not needed: it is left where it is."""
    _plant(base, trap)
    _change(base / "config.json", auto_map={**AUTO_MAP, "AutoModel": "modeling_evil.XLMRobertaModel"})
    _change(base / "tokenizer_config.json", auto_map=AUTO_MAP)
    materialise_base({"path": str(base)}, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.py"))
    for folder in (tmp_path / "out", base):
        Model.load(folder)
    assert not trap.sprung


def test_a_known_type_with_a_class_of_its_own_is_another_model_and_refused(
    base: Path, trap: Trap, tmp_path: Path
) -> None:
    _plant(base, trap)
    _change(base / "config.json", auto_map=AUTO_MAP)
    with pytest.raises(StiltsError, match="is never executed"):
        materialise_base({"path": str(base)}, tmp_path / "out")
    assert not trap.sprung


def test_an_architecture_that_needs_its_own_code_is_refused(base: Path, trap: Trap) -> None:
    _plant(base, trap)
    _change(base / "config.json", model_type="evil", auto_map=AUTO_MAP)
    with pytest.raises(StiltsError, match="is never executed"):
        Model.load(base)
    assert not trap.sprung


def test_a_tokenizer_that_needs_its_own_code_is_refused(base: Path, trap: Trap) -> None:
    _plant(base, trap)
    (base / "tokenizer.json").unlink()
    (base / "vocab.txt").write_text("a\nb\n")
    _change(base / "tokenizer_config.json", tokenizer_class="EvilTokenizer", auto_map=AUTO_MAP)
    with pytest.raises(StiltsError, match="tokenizer"):
        Model.load(base)
    assert not trap.sprung


@pytest.mark.parametrize("name", ["data.py", "corpus.py", "__init__.py"])
def test_a_data_set_with_a_loading_script_is_refused(trap: Trap, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name.removesuffix(".py")
    folder.mkdir()
    (folder / name).write_text(trap.code)
    source = HubSource(str(folder), "", {"train": "train"}, {"text_a": "a", "text_b": "b", "label": "label"})
    with pytest.raises(StiltsError, match="cannot load"):
        hub.load(source, get_task("xnli"), "train", "en")
    assert not trap.sprung


# --- the source --------------------------------------------------------------------------------------------


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _arguments(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_loaders_are_called_safely(path: Path) -> None:
    for name, call in _calls(path):
        arguments, where = _arguments(call), f"{path}:{call.lineno}"
        assert arguments.get("trust_remote_code", "False") == "False", where
        assert arguments.get("allow_pickle", "False") == "False", where
        if name in ("np.load", "numpy.load"):
            assert "allow_pickle" in arguments, f"{where}: said, since what it reads may be a pickle"
        if name.endswith(".from_pretrained"):
            assert arguments["trust_remote_code"] == "False", where
            assert arguments["local_files_only"] == "True", where
            if "Model" in name:
                assert arguments["use_safetensors"] == "True", where
        if name.endswith("snapshot_download"):
            assert "allow_patterns" in arguments, where


FORBIDDEN = {
    "torch.load": "a pickle",
    "torch.hub.load": "somebody's code",
    "pd.read_pickle": "a pickle",
    "yaml.unsafe_load": "makes any object",
    "yaml.full_load": "makes any object",
    "eval": "runs what it reads",
    "exec": "runs what it reads",
    "os.system": "a shell",
    "shutil.unpack_archive": "an archive may lead out of its folder",
    "tempfile.mktemp": "a name that somebody else may take",
}


ALLOWED = {("tasks/own.py", "exec")}
"""A Python file of tasks, which the author of the experiment names as code to be run (docs/security.md)."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_dangerous_is_called(path: Path) -> None:
    for name, call in _calls(path):
        if (path.relative_to(ROOT).as_posix(), name) in ALLOWED:
            continue
        assert name not in FORBIDDEN, f"{path}:{call.lineno}: {name}: {FORBIDDEN[name]}"
        assert not name.endswith((".extractall", ".load_checkpoint")), f"{path}:{call.lineno}"
        assert _arguments(call).get("shell", "False") == "False", f"{path}:{call.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_name_in_tmp_can_be_guessed(path: Path) -> None:
    """Temporary files come from `tempfile`, whose names nobody else can take and whose folders nobody else reads."""
    texts = [
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    # Ray's own default folder, which it takes without TMPDIR, too.
    assert not [node.lineno for node in texts if node.value.startswith("/tmp") and node.value != "/tmp/ray"]
