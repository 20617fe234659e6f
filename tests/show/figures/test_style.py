"""The common style: panels, marks of regimes, numbers and names."""

import pytest

from stilts.show.figures.style import INK, marks, panels, plain, short, signed


@pytest.mark.parametrize(("number", "shape"), [(1, (1, 1)), (2, (1, 2)), (4, (2, 2)), (5, (2, 3)), (9, (3, 3))])
def test_panels(number, shape):
    figure, axes = panels(number, 1.0)
    assert len(axes) == number
    assert axes[0].get_gridspec().get_geometry() == shape
    assert sum(panel.get_visible() for panel in figure.axes) == number


def test_the_baseline_is_drawn_in_ink_and_no_two_regimes_alike():
    found = marks([f"regime-{i}" for i in range(20)] + ["none"], "none")
    assert found["none"].color == INK
    assert len({(mark.color, mark.marker, str(mark.linestyle)) for mark in found.values()}) == 21


def test_marks_do_not_depend_on_where_the_baseline_stands():
    assert marks(["none", "mnli", "squad"], "none") == marks(["mnli", "none", "squad"], "none")


@pytest.mark.parametrize(("value", "text"), [(1.24, "+1.2"), (-0.3, "−0.3"), (0.04, "0.0"), (-0.04, "0.0")])
def test_signed(value, text):
    assert signed(value) == text


def test_plain_has_a_minus_sign_and_no_negative_zero():
    assert (plain(71.25), plain(-0.3), plain(-0.01)) == ("71.2", "−0.3", "0.0")


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert short("mnli") == "mnli"
    name = short("multi-task-of-all-intermediates")
    assert (len(name), name[:9], name[-8:]) == (18, "multi-tas", "mediates")
