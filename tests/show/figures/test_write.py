"""Everything that there is data for is drawn and written, and nothing else."""

import pytest

from stilts.show.figures import write
from stilts.show.figures.write import drawings, write_figures


def test_names_are_unique_and_safe(study):
    names = [drawing.name for drawing in drawings(study(regimes=2, targets=2, languages=1, model="xlm-r (base)"))]
    assert names == [
        "transfer-test-xlm-r-base",
        "spreads-test-xlm-r-base",
        "languages-test-xlm-r-base-pawsx",
        "scores-test-xlm-r-base-pawsx",
        "languages-test-xlm-r-base-xnli",
        "scores-test-xlm-r-base-xnli",
    ]


def test_every_form_of_a_drawing_is_written(study, tmp_path, monkeypatch):
    first = next(drawings(study(regimes=2, targets=1, languages=1)))
    monkeypatch.setattr(write, "drawings", lambda tables: iter([first]))
    written = write_figures(tmp_path, {})
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        f"figures/transfer-test-xlmr-large.{form}" for form in ("png", "pdf", "svg")
    ]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {path.name for path in written}


@pytest.mark.parametrize("kept", [(), ("results",), ("summary", "languages")])
def test_tables_that_are_not_there_are_not_drawn(study, kept, tmp_path):
    tables = study(regimes=2, targets=1, languages=1)
    assert write_figures(tmp_path, {name: tables[name] for name in kept}) == []
    assert list(tmp_path.iterdir()) == []
