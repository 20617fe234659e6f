"""data prepare, data verify."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_data_is_prepared_and_verified(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    assert stilts("data", "prepare", experiment)[0] == 0
    code, out, _ = stilts("data", "verify", experiment, "--json")
    assert code == 0
    rows = json.loads(out)
    assert {row["problem"] for row in rows} == {None}
    first, second = (tmp_path / "store" / row["path"] for row in rows[:2])
    first.write_bytes(second.read_bytes())
    second.write_bytes(b"nonsense")
    code, out, err = stilts("data", "verify", experiment, "--json")
    assert code == 1
    assert out, err
    assert [row["problem"] is None for row in json.loads(out)] == [False, False] + [True] * (len(rows) - 2)
    assert "is not an Arrow file" in err
    assert "data prepare" in err


def test_a_machine_without_the_data_plans_from_the_store(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    assert stilts("data", "prepare", experiment)[0] == 0
    planned = stilts("plan", experiment, "--json")[1]
    for name in ("xtreme", "en.txt"):
        (tmp_path / name).rename(tmp_path / f"{name}-of-another-machine")
    again = stilts("plan", experiment, "--json")
    assert again == (0, planned, ""), again[2]
    assert stilts("collect", experiment)[0] == 0
    assert stilts("data", "verify", experiment)[0] == 0
    code, _, err = stilts("plan", experiment, "--set", "targets.xnli.languages=[en, sw]")
    assert code == 1
    assert "the store does not know the test data of xnli in sw" in err
    assert "data prepare" in err
    code, _, err = stilts("plan", experiment, "--set", "data.xtreme=mistyped")
    assert code == 1
    assert "mistyped is not a folder" in err
