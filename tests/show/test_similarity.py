"""Correlations with linguistic distance: numbers, reasons why there is none, and the source of the distances."""

import pyarrow as pa

from stilts.show.results import analysis_files
from tests.show.conftest import cells, complete, printed


def text_of(analyses):
    return analysis_files(complete(analyses))["similarity.md"].decode()


def test_markdown_has_the_tables_numbers(analyses):
    correlation = next(row for row in analyses["similarity"].to_pylist() if row["target"] == "all")
    first = cells(text_of(analyses), "intermediate")[0]
    assert first[:2] == [correlation["intermediate"], "pearson"]
    assert first[3].startswith(f"{correlation['pearson']:.2f} \\[{correlation['pearson_low']:.2f}, ")


def test_what_cannot_be_computed_has_a_reason(analyses):
    assert "not computed" in text_of(analyses)
    assert "bucc2018 test: too few languages (4)." in text_of(analyses)
    assert "CC BY-SA 4.0" in text_of(analyses)


def test_what_several_models_have_in_common_is_said_once(analyses):
    similarity = analyses["similarity"]
    other = similarity.set_column(
        similarity.schema.get_field_index("model"), "model", pa.array(["other"] * len(similarity), pa.string())
    )
    text = printed({"similarity": pa.concat_tables([similarity, other])}, 200)
    assert text.count("gain and distance to English") == 2
    assert text.count("URIEL") == printed({"similarity": similarity}, 200).count("URIEL")
