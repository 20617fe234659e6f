"""Prediction over a features table."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stilts.evaluate import predict
from stilts.evaluate.predict import forward, sentence_pooling, vectors
from stilts.train.model import Pooling
from stilts.train.ranks import Ranks
from tests.train.toys import NO_DROPOUT, load_model, make_base, make_features, sentences

ALONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    (folder / "text.txt").write_text("\n".join(sentences(200)))
    return make_base(folder / "base", folder / "text.txt", **NO_DROPOUT)


@pytest.mark.parametrize(
    ("family", "shape"),
    [
        ("classification", lambda row: (3,)),
        ("multiple_choice", lambda row: (1,)),
        ("tagging", lambda row: (len(row["positions"]), 3)),
        ("parsing", lambda row: (len(row["positions"]), len(row["positions"]) + 1, 2)),
        ("srl", lambda row: (len(row["positions"]), 3)),
        ("span_qa", lambda row: (len(row["input_ids"]), 2)),
        ("retrieval", lambda row: (32,)),
    ],
)
def test_outputs_come_in_row_order_whatever_the_batches(base: Path, family: str, shape):
    model = load_model(base, family, 3).train()
    table, settings = make_features(family, 15), {"layer": 14, "layers": 24, "pooling": "mean"}
    together = forward(model, table, settings, ALONE)
    few = forward(model, table, settings, ALONE, tokens_per_batch=40)
    assert model.training
    assert len(together) == table.num_rows
    for row, (outputs, again) in enumerate(zip(together, few, strict=True)):
        assert outputs.shape == shape(table.slice(row, 1).to_pylist()[0])
        assert outputs.dtype == np.float32
        assert np.allclose(outputs, again, atol=1e-5)
        alone = forward(model, table.slice(row, 1), settings, ALONE)
        assert np.allclose(outputs, alone[0], atol=1e-5)


def test_any_model_gives_sentence_vectors(base: Path):
    table = make_features("classification", 5)
    vectors = forward(
        load_model(base, "classification", 2),
        table,
        {"layer": 1, "layers": 2, "pooling": "cls"},
        ALONE,
        family="retrieval",
    )
    assert np.stack(vectors).shape == (5, 32)


def test_no_rows_give_no_outputs(base: Path):
    assert forward(load_model(base, "tagging", 3), make_features("tagging", 2).slice(0, 0), {}, ALONE) == []


@pytest.mark.parametrize(
    ("layer", "layers", "expected"), [(14, 24, 1), (24, 24, 2), (1, 24, 1), (0, 24, 1), (18, 24, 2)]
)
def test_the_layer_is_scaled_to_the_models_depth(base: Path, layer: int, layers: int, expected: int):
    model = load_model(base, "retrieval")
    assert sentence_pooling(model, {"layer": layer, "layers": layers}) == Pooling(expected, "mean")


@pytest.mark.parametrize("family", ["retrieval", "dual_encoder"])
def test_vectors_are_the_rows_of_one_matrix(base: Path, family: str):
    model, table = load_model(base, family), make_features(family, 15)
    settings = {"layer": 14, "layers": 24}
    found = vectors(model, table, settings, ALONE, tokens_per_batch=100)
    assert torch.equal(found, torch.from_numpy(np.stack(forward(model, table, settings, ALONE, tokens_per_batch=100))))
    assert len(vectors(model, table.slice(0, 0), settings, ALONE)) == 0


def test_rounded_widths_make_few_shapes_and_the_same_outputs(base: Path, monkeypatch: pytest.MonkeyPatch):
    """As on a GPU, where widths are multiples of 16."""
    model, table = load_model(base, "tagging", 3), make_features("tagging", 40)
    plain = forward(model, table, {}, ALONE, tokens_per_batch=64)
    shapes = set()
    compute = predict._Run._compute

    def seen(self: predict._Run, batch):
        shapes.add(batch.input_ids.shape)
        return compute(self, batch)

    widths = predict._widths
    monkeypatch.setattr(predict._Run, "_compute", seen)
    monkeypatch.setattr(predict, "_widths", lambda columns, model, step: widths(columns, model, 16))
    rounded = forward(model, table, {}, ALONE, tokens_per_batch=64)
    assert {width for _, width in shapes} == {16, 32}
    assert len(shapes) <= 3
    for one, other in zip(plain, rounded, strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_widths_are_rounded_as_far_as_there_are_positions(base: Path):
    model = load_model(base, "tagging", 3)
    columns = predict.Features.of(make_features("tagging", 40), "tagging")
    longest = int(columns.ids.lengths.max())
    model.config.max_position_embeddings = longest + 2  # XLM-R's positions begin at 2
    assert predict._widths(columns, model, 16).max() == longest
    assert np.array_equal(predict._widths(columns, model, 1), columns.ids.lengths)


@pytest.mark.parametrize("family", ["classification", "tagging"])
def test_batches_and_outputs_wait_for_each_other_in_their_order(
    base: Path, monkeypatch: pytest.MonkeyPatch, family: str
):
    """The next batch is started before the outputs of the last one are read."""
    model, table = load_model(base, family, 3), make_features(family, 12)
    events: list[str] = []
    compute = predict._Run._compute
    split = type(predict.head_of(family)).by_sequence

    monkeypatch.setattr(predict._Run, "_compute", lambda *args: (events.append("start"), compute(*args))[1])
    monkeypatch.setattr(
        type(predict.head_of(family)), "by_sequence", lambda *args: (events.append("read"), split(*args))[1]
    )
    forward(model, table, {}, ALONE, tokens_per_batch=64)
    count = events.count("start")
    assert count > 3
    assert events == ["start", *["start", "read"] * (count - 1), "read"]


def test_a_failure_in_the_thread_that_assembles_batches_is_raised(base: Path, monkeypatch: pytest.MonkeyPatch):
    model, table = load_model(base, "tagging", 3).train(), make_features("tagging", 12)
    real, seen = predict.assemble, []

    def failing(*args, **options):
        seen.append(args)
        if len(seen) == 2:
            raise ValueError("second batch")
        return real(*args, **options)

    monkeypatch.setattr(predict, "assemble", failing)
    with pytest.raises(ValueError, match="second batch"):
        forward(model, table, {}, ALONE, tokens_per_batch=64)
    assert model.training
