"""Figures inside the page."""

import pyarrow as pa

from stilts.results.learning.curves import SCHEMA
from stilts.show.html.charts import charts_of

POINT = {"model": "base", "intermediate": "none", "target": "xnli", "role": "target", "series": "dev", "seed": 1}


def test_a_chart_is_svg_with_its_caption_as_text_of_the_page():
    rows = [{**POINT, "stage": "s", "step": step, "value": 50.0 + step} for step in (1, 2)]
    chart = charts_of({"curves": pa.Table.from_pylist(rows, schema=SCHEMA)})("curves", "base", "dev")
    assert chart is not None
    assert chart.svg.startswith("<svg")
    assert "Line: mean over seeds" in chart.text
    drawn = chart.svg[chart.svg.index("</desc>") :]
    assert "Line: mean over seeds" not in drawn, "the caption is not drawn, too"


def test_nothing_to_draw_is_no_chart():
    assert charts_of({})("scatter", "test", "base", "mnli") is None
