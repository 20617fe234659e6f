"""Training the rows in use gives the weights of training the whole embedding."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors import safe_open

from stilts.evaluate.predict import forward
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train import loop
from stilts.train.checkpoint import STATE, ResumeStore
from stilts.train.loop import train
from stilts.train.model import Model
from stilts.train.ranks import Preempted
from stilts.train.rows import RowsInUse, decay_factor, use_rows
from tests.train.toys import NO_DROPOUT, head_spec, load_model, make_base, make_features, one_part

EMBEDDING = "encoder.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def still(tmp_path_factory, text_file):
    """A base model without dropout."""
    return make_base(tmp_path_factory.mktemp("still"), text_file, **NO_DROPOUT)


def recipe_of(**changes) -> Recipe:
    values = {"learning_rate": 2e-3, "max_steps": 12, "batch_size": 4, "max_length": 32, "precision": "fp32"}
    return Recipe(**{**values, "selection": "last", "adam_epsilon": 1e-5, **changes})


def few_tokens(count: int = 24):
    """Features of 40 of the 200 tokens."""
    features = make_features("classification", count)
    ids = [[token if token < 4 else 4 + token % 36 for token in row] for row in features["input_ids"].to_pylist()]
    place = features.column_names.index("input_ids")
    column = pa.array(ids, features.schema.field("input_ids").type)
    return features.set_column(place, "input_ids", column)


def trained(still, ranks, recipe, *, rows: bool, runtime=None, **options) -> dict[str, torch.Tensor]:
    model = load_model(still, "classification")
    parts = one_part(few_tokens(), "classification", recipe)
    with patch.object(loop, "use_rows", use_rows if rows else lambda *_: None):
        train(model, parts, recipe, runtime or Runtime(), ranks, **options)
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("engine", "zero_stage"), [("torch", 1), ("deepspeed", 1), ("deepspeed", 3)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_are_those_of_the_whole_matrix(still, ranks, decay, engine, zero_stage, precision):
    recipe = recipe_of(weight_decay=decay, precision=precision)
    runtime = Runtime(engine=engine, zero_stage=zero_stage)
    whole = trained(still, ranks, recipe, rows=False, runtime=runtime)
    found = trained(still, ranks, recipe, rows=True, runtime=runtime)
    start = load_model(still, "classification").get_parameter(EMBEDDING)
    assert set(found) == set(whole)
    assert found[EMBEDDING].shape == start.shape
    used = np.unique(few_tokens()["input_ids"].combine_chunks().flatten())
    others = np.setdiff1d(np.arange(len(start)), used)
    assert len(others) > 100
    if decay == 0:
        assert torch.equal(found[EMBEDDING][others], start[others])
    else:
        assert not torch.equal(found[EMBEDDING][others], start[others])
    for name, value in whole.items():
        assert torch.allclose(found[name], value, rtol=1e-5, atol=2e-6 if precision == "fp32" else 1e-3), name
    assert torch.allclose(found[EMBEDDING][others], whole[EMBEDDING][others], rtol=2e-6, atol=0)


def test_the_resume_state_holds_the_rows_alone(still, ranks, tmp_path):
    resume, shapes = ResumeStore(tmp_path / "resume"), []

    def look(folder):
        with safe_open(folder / STATE, framework="pt") as state:
            shapes.append(state.get_slice(f"exp_avg.{EMBEDDING}").get_shape())

    resume = replace(resume, saved=look)
    trained(still, ranks, recipe_of(), rows=True, runtime=Runtime(checkpoint_seconds=1e-9), resume=resume)
    assert shapes
    assert all(rows <= 40 for rows, _ in shapes)


def test_dev_evaluation_reads_unseen_rows_as_the_whole_matrix_would(still, ranks):
    """Tokens that training never sees have their own, decayed vectors in a dev evaluation."""
    recipe = recipe_of(selection="best-dev", evaluate_every=4, weight_decay=0.3, learning_rate=2e-2)
    unseen = make_features("classification", 10, seed=5)
    outputs: dict[bool, list[np.ndarray]] = {}
    for rows in (False, True):
        model, outputs[rows] = load_model(still, "classification"), []

        def dev(model=model, seen=outputs[rows]):
            seen.append(np.concatenate(forward(model, unseen, {}, ranks)))
            return {"classification": float(-len(seen))}  # the first evaluation is the best

        with patch.object(loop, "use_rows", use_rows if rows else lambda *_: None):
            parts = one_part(few_tokens(), "classification", recipe)
            result = train(model, parts, recipe, Runtime(), ranks, dev_score=dev)
        outputs[rows].append(np.concatenate(forward(model, unseen, {}, ranks)))
        assert result.best_step == 4
    assert len(outputs[True]) == 4
    for one, other in zip(outputs[False], outputs[True], strict=True):
        assert np.allclose(one, other, atol=2e-5)
    assert np.allclose(outputs[True][0], outputs[True][-1], atol=1e-5)  # the weights of step 4, decay included


def test_a_preempted_stage_ends_with_the_same_bits(still, ranks, tmp_path):
    recipe = recipe_of(weight_decay=0.1)
    expected = trained(still, ranks, recipe, rows=True)
    resume = ResumeStore(tmp_path / "resume")

    def stop(progress):
        if progress["step"] >= 1:
            ranks.drain.set()

    with pytest.raises(Preempted), patch.object(loop, "REPORT_SECONDS", 0):
        trained(still, ranks, recipe, rows=True, resume=resume, report=stop)
    ranks.drain.clear()
    assert (tmp_path / "resume").is_dir()
    found = trained(still, ranks, recipe, rows=True, resume=resume)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_every_row_stays_where_a_head_reads_the_embedding(still):
    model = Model.load(still, [head_spec("mlm"), head_spec("classification")], 0)
    assert use_rows(model, [np.arange(10)]) is None
    assert isinstance(model.encoder.get_input_embeddings(), torch.nn.Embedding)


@pytest.mark.parametrize("kind", ["xlnet", "xlm", "deberta-v2", "rembert", "modernbert", "bert"])
def test_each_architectures_embedding_is_found(text_file, tmp_path, kind):
    sizes = {
        "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64},
        "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 2},
    }.get(kind, {})
    model = load_model(make_base(tmp_path, text_file, plain=kind in sizes, model_type=kind, **sizes), "classification")
    whole = model.encoder.get_input_embeddings().weight.detach().clone()
    rows = use_rows(model, [np.array([5, 9, 9])])
    assert isinstance(rows, RowsInUse)
    assert len(rows.weight) == 3
    assert any(parameter is rows.weight for parameter in model.parameters())
    assert sum(parameter.shape == whole.shape for parameter in model.parameters()) == 0
    model.eval()
    ids = torch.tensor([[5, 7, 9]])
    assert torch.equal(rows(ids)[0], whole[ids[0]])


def test_decay_is_the_product_over_the_steps():
    assert decay_factor([], 0.1) == 1.0
    assert decay_factor([0.1, 0.2], 0.5) == pytest.approx(0.95 * 0.9)
