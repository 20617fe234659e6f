"""Modules register themselves when their package is imported as a whole."""

import sys
from pathlib import Path

import pytest

from stilts.discovery import import_modules


def test_every_module_of_a_package_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "found_here"
    package.mkdir()
    (package / "__init__.py").write_text("names = []\n")
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(f"from found_here import names\nnames.append({name!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import_modules("found_here")
    assert sorted(sys.modules["found_here"].names) == ["one", "two"]
