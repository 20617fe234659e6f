"""Continuous integration: the script that runs the README leaves the checkout as it was, and the order of the tests."""

import subprocess
from pathlib import Path

from tests.conftest import LONGEST

ROOT = Path(__file__).resolve().parent.parent

README = """\
# A project

```bash
test ! -e .venv
mkdir .venv
echo changed > tracked
touch made
```

```console
$ false
```

```bash
cat new
```
"""


def test_the_checkout_stays_as_it_is(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    (checkout / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    for name, content in {"README.md": README, "tracked": "a", ".gitignore": ".venv/\n"}.items():
        (checkout / name).write_text(content)
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    subprocess.run(["git", "add", "-A"], cwd=checkout, check=True)
    (checkout / "new").write_text("not added yet")
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "own").write_text("kept")

    def files() -> dict[str, bytes]:
        found = (path for path in checkout.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {str(path): path.read_bytes() for path in found}

    before = files()
    done = subprocess.run(["bash", ".ci/run"], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "not added yet"
    assert files() == before


def test_the_files_that_are_run_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
