"""The reference pages in docs/ say what the code says."""

from pathlib import Path

import pytest

from stilts.cli.reference import pages

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", ["fields.md", "cli.md"])
def test_a_page_is_up_to_date(name: str) -> None:
    written = (FOLDER / name).read_text()
    assert written == pages()[name], "run: python -m stilts.cli.reference docs/reference"


def test_pages_hold_every_command_and_field() -> None:
    found = pages()
    assert "### stilts data verify" in found["cli.md"]
    assert "| `--max-gpu-hours` |" in found["cli.md"]
    assert "| 3 | the run stopped at" in found["cli.md"]
    assert "| `warmup` | number >= 0 |" in found["fields.md"]
    assert "## runtime\n" in found["fields.md"]
