"""What an attacker plants: a pickle that leaves a trace when it is loaded, and a tiny checkpoint to plant it in."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.train.toys import make_base, sentences


class Payload:
    """Its pickle makes a folder where it is loaded, whatever reads it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.trace),)


class Trap:
    """A planted pickle, and whether it was loaded."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "executed"
        self.pickle = pickle.dumps(Payload(self.trace))
        self.code = f"import os\nos.mkdir({str(self.trace)!r})\n"

    @property
    def sprung(self) -> bool:
        return self.trace.exists()


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    (folder / "text.txt").write_text("\n".join(sentences(100)))
    return make_base(folder / "base", folder / "text.txt")


@pytest.fixture
def base(pristine: Path, tmp_path: Path) -> Path:
    """A checkpoint in the Hugging Face layout, to be damaged."""
    shutil.copytree(pristine, tmp_path / "base")
    return tmp_path / "base"
