"""The outcome of `stilts tune`."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from stilts.errors import LimitReached, StiltsError
from stilts.search.result import TuneResult
from stilts.search.trials import trials_table
from tests.search.studies import make_study


def _result(reason: str | None = None, limited: bool = False) -> TuneResult:
    table = trials_table(make_study(), ["learning_rate"])
    return TuneResult("xnli of base", table, {"recipes": {}}, Path("out"), [Path("out/trials.md")], reason, limited)


def test_a_search_is_complete_if_there_is_no_reason() -> None:
    assert _result().complete
    _result().raise_if_incomplete()


@pytest.mark.parametrize(("limited", "error"), [(True, LimitReached), (False, StiltsError)])
def test_an_incomplete_search_raises_its_reason(limited: bool, error: type[StiltsError]) -> None:
    found = _result("the limit was reached", limited)
    assert not found.complete
    with pytest.raises(StiltsError, match="the limit was reached") as caught:
        found.raise_if_incomplete()
    assert type(caught.value) is error


def test_trials_as_a_data_frame_as_json_and_on_the_terminal() -> None:
    found = _result()
    assert list(found.table["trial"]) == [0, 1, 2, 3, 4]
    assert [row["state"] for row in found.to_json()] == list(found.table["state"])
    console = Console(width=160, record=True, file=io.StringIO())
    found.show(console)
    text = console.export_text()
    assert "xnli of base" in text
    assert "--with out/best.yaml" in text
