"""`stilts explain`: why a stage is not reused."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_a_stage_of_an_empty_store_has_nothing_to_compare_with(stilts: Run, experiment: Path) -> None:
    name = json.loads(stilts("status", experiment, "--json")[1])["stages"][-1]["name"]
    code, out, _ = stilts("explain", name, "-e", experiment, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["stage"], found["nearest"], found["differences"]) == (name, None, [])


def test_an_unknown_stage_is_an_error_with_a_hint(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("explain", "tiny-nothing", "-e", experiment)
    assert code == 1
    assert "tiny-nothing" in err
