"""Every exit status is documented. Processes end with each in test_streams.py, test_bad_inputs.py and the run tests."""

import re
from pathlib import Path

from stilts.cli.exit_codes import MEANINGS


def test_the_documentation_lists_every_exit_status() -> None:
    text = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == sorted(MEANINGS)
