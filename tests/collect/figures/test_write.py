"""Everything that there is data for is written, and nothing else."""

from stilts.collect.figures.write import drawings, write_figures


def test_figures_of_a_small_study(study, tmp_path):
    tables = study(regimes=2, targets=1, languages=1, model="xlm-r (base)")
    written = write_figures(tmp_path, tables)
    names = [
        "transfer-test-xlm-r-base",
        "spreads-test-xlm-r-base",
        "languages-test-xlm-r-base-pawsx",
        "scores-test-xlm-r-base-pawsx",
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        f"figures/{name}.{form}" for name in names for form in ("png", "pdf", "svg")
    ]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {path.name for path in written}


def test_nothing_is_written_of_nothing(tmp_path):
    assert write_figures(tmp_path, {}) == []
    assert list(tmp_path.iterdir()) == []


def test_names_are_unique(study):
    names = [drawing.name for drawing in drawings(study(regimes=3, targets=2, languages=2))]
    assert len(names) == len(set(names)) == 2 + 2 * 2
