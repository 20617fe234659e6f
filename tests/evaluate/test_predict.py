"""Prediction over a features table."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stilts.evaluate.predict import forward, sentence_pooling
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
