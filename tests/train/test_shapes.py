"""The micro-batches of a stage have few shapes, little padding, and the results of batches without padding."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import Mixing
from stilts.train.feed import Feed
from stilts.train.loop import train
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from stilts.train.shapes import MOST, MULTIPLE, PackedShapes, PaddedShapes, Shape, Step
from stilts.train.step_schedule import StepSchedule, TrainPart
from tests.train.toys import NO_DROPOUT, head_spec, load_model, make_base, make_features, one_part

CPU = torch.device("cpu")

LIKE = {
    # name: (family, max_length, median and spread of the lengths, the longest, sequences per item)
    "xnli": ("classification", 128, 34, 0.5, 128, 1),
    "pos": ("tagging", 128, 22, 0.6, 110, 1),
    "qa": ("span_qa", 384, 150, 0.4, 384, 1),
    "mlm": ("mlm", 256, 250, 0.5, 256, 1),
    "copa": ("multiple_choice", 128, 30, 0.3, 90, 2),
}


def table_like(name: str, items: int = 2000, seed: int = 0) -> pa.Table:
    """Features with the lengths of a task."""
    family, _, median, spread, longest, per_item = LIKE[name]
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(median), spread, items * per_item), 6, longest).astype(int)
    lengths[0] = longest
    item = np.repeat(np.arange(items), per_item)
    columns = {"item": item, "example": item, "input_ids": [rng.integers(4, 150, n).tolist() for n in lengths]}
    if family in ("classification", "multiple_choice"):
        columns["label"] = item * 0
    elif family == "tagging":
        columns |= {"positions": [[1, 3]] * len(item), "labels": [[0, 1]] * len(item)}
    elif family == "span_qa":
        columns |= {"start": item * 0 + 1, "end": item * 0 + 2}
    kinds = {"input_ids": pa.list_(pa.int32()), "positions": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())}
    return pa.table({key: pa.array(value, kinds.get(key, pa.int32())) for key, value in columns.items()})


@pytest.fixture(scope="module")
def bases(tmp_path_factory, text_file, base):
    padded = make_base(tmp_path_factory.mktemp("padded"), text_file, model_type="deberta-v2")
    return {"packed": base, "padded": padded}


def feed_of(base, names, batch_size=32, budget=8192, ranks=None, few=False, **settings) -> tuple[Feed, StepSchedule]:
    specs = [head_spec(LIKE[name][0], name=name) for name in names]
    model = Model.load(base, specs)
    recipe = Recipe(learning_rate=1e-3, batch_size=batch_size, epochs=1, max_length=LIKE[names[0]][1], **settings)
    parts = [
        TrainPart(name, name, table_like(name), recipe.model_copy(update={"max_length": LIKE[name][1]}))
        for name in names
    ]
    schedule = StepSchedule(model, parts, recipe, Mixing() if len(names) > 1 else None)
    return Feed(model, schedule, ranks or Ranks(0, 1, CPU), budget, few), schedule


def seen(feed: Feed, schedule: StepSchedule) -> tuple[Counter, float]:
    """How often each shape occurs in the stage, of all tensors that the encoder reads; and the share of padding."""
    shapes: Counter = Counter()
    real = padded = 0
    for step in range(schedule.steps):
        made = feed.step(step)
        real += made.tokens
        for batch, _ in made.batches:
            read = batch.input_ids, batch.segments, batch.positions, batch.bounds
            shapes[tuple(tuple(tensor.shape) for tensor in read)] += 1
            padded += batch.input_ids.numel()
    feed.close()
    return shapes, 1 - real / padded


@pytest.mark.parametrize(
    ("name", "batch_size", "padding"),
    [
        *(("xnli", 32, 0.12), ("xnli", 512, 0.05), ("pos", 32, 0.14), ("qa", 32, 0.13), ("qa", 512, 0.06)),
        *(("mlm", 32, 0.14), ("copa", 32, 0.08)),
    ],
)
def test_packed_rows_have_few_shapes_and_little_padding(bases, name, batch_size, padding):
    shapes, share = seen(*feed_of(bases["packed"], [name], batch_size))
    assert len(shapes) <= MOST
    assert all(width % MULTIPLE == 0 for ((_, width), *_) in shapes)
    assert share < padding


@pytest.mark.parametrize(
    ("name", "batch_size", "padding"),
    [
        *(("xnli", 32, 0.57), ("xnli", 512, 0.52), ("pos", 32, 0.66), ("qa", 32, 0.48), ("qa", 512, 0.32)),
        *(("mlm", 32, 0.2), ("copa", 32, 0.56)),
    ],
)
def test_padded_rows_have_few_shapes(bases, name, batch_size, padding):
    feed, schedule = feed_of(bases["padded"], [name], batch_size)
    assert isinstance(feed.shapes, PaddedShapes)
    shapes, share = seen(feed, schedule)
    assert len(shapes) <= MOST
    assert all(width % MULTIPLE == 0 for ((_, width), *_) in shapes)
    assert share < padding


def test_the_tasks_of_a_mixture_share_the_shapes(bases):
    for base in bases.values():
        shapes, _ = seen(*feed_of(base, ["xnli", "pos", "qa", "copa"]))
        assert len(shapes) <= MOST


@pytest.mark.parametrize("kind", ["packed", "padded"])
def test_every_rank_has_every_item_once_in_as_many_batches(bases, kind):
    feed, schedule = feed_of(bases[kind], ["copa"], ranks=Ranks(1, 3, CPU), budget=512)
    feed.close()
    _, rows = schedule.step(0)
    step = Step(rows.ids.lengths.tolist(), rows.together.tolist())
    split = feed.shapes.split(step)
    assert len(split) == 3
    assert len({len(batches) for batches in split}) == 1
    batches = [batch for rank in split for batch in rank if batch]
    found = [row for batch in batches for sequences in batch for row in sequences]
    assert sorted(found) == list(range(len(step.lengths)))
    items = [{step.items[row] for sequences in batch for row in sequences} for batch in batches]
    assert sum(map(len, items)) == len(set().union(*items)) == 32


def test_rows_are_no_wider_than_the_encoder_has_positions(tmp_path, text_file):
    base = make_base(tmp_path, text_file, model_type="deberta-v2", max_position_embeddings=120)
    model = load_model(base, "tagging")
    recipe = Recipe(learning_rate=1e-3, max_steps=5, batch_size=8, max_length=120)
    parts = one_part(make_features("tagging", longest=119), "tagging", recipe)
    schedule = StepSchedule(model, parts, recipe, None)
    shapes, _ = seen(Feed(model, schedule, Ranks(0, 1, CPU), 8192), schedule)
    assert max(width for ((_, width), *_) in shapes) == 120


def test_a_batch_larger_than_the_sampled_ones_has_a_shape(bases):
    feed, _ = feed_of(bases["packed"], ["xnli"])
    feed.close()
    rows = [[0]] * (max(feed.shapes.counts) + 1)
    assert feed.shapes.shape(rows, 10).rows == feed.shapes.most == 8192 // 128 // 2
    assert feed.shapes.shape([[0]] * 100, 10).rows == 100


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("xlm-roberta", {}),
        ("deberta-v2", {}),
        ("xlm", {"emb_dim": 32, "n_layers": 2, "n_heads": 2, "n_langs": 1, "dropout": 0.0, "attention_dropout": 0.0}),
        ("xlnet", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "dropout": 0.0}),
    ],
)
def test_padding_does_not_change_results(text_file, tmp_path, ranks, monkeypatch, kind, sizes):
    """Training with the fixed shapes equals training without padding rows and columns, up to rounding."""
    base = make_base(tmp_path, text_file, plain=bool(sizes), model_type=kind, **(sizes or NO_DROPOUT))
    # With AdamW's usual epsilon, the rounding of a gradient that is almost 0 is scaled to the learning rate.
    recipe = Recipe(
        learning_rate=1e-3, max_steps=4, batch_size=6, max_length=32, selection="last", weight_decay=0.1,
        adam_epsilon=1e-3, precision="fp32",
    )  # fmt: skip

    def trained() -> tuple[list[float], dict[str, torch.Tensor]]:
        model = load_model(base, "tagging")
        result = train(model, one_part(make_features("tagging"), "tagging", recipe), recipe, Runtime(), ranks)
        return [loss for _, loss in result.losses], model.state_dict()

    losses, weights = trained()
    for shapes in (PackedShapes, PaddedShapes):
        monkeypatch.setattr(shapes, "shape", lambda self, batch, longest: Shape(0, 0, 0))
    tight_losses, tight = trained()
    assert losses == pytest.approx(tight_losses, rel=2e-6)
    assert all((weights[name] - value).abs().max() <= 2e-6 for name, value in tight.items())


@pytest.mark.parametrize(("kind", "few"), [("packed", True), ("packed", False), ("padded", True)])
@pytest.mark.parametrize("name", ["xnli", "qa", "copa"])
def test_smaller_budgets_end_at_the_largest_item(bases, kind, few, name):
    """A step that runs out of memory is tried with ever smaller micro-batches, but not for ever."""
    feed, schedule = feed_of(bases[kind], [name], few=few)
    largest = []
    while budget := feed.smaller_budget(0):
        feed.limit(budget)
        largest.append(max(batch.input_ids.numel() for batch, _ in feed.step(0).batches))
    assert len(largest) > 2
    assert largest == sorted(set(largest), reverse=True)
    lengths = schedule.step(0)[1].ids.lengths
    most = int(lengths.max()) * LIKE[name][-1]
    assert largest[-1] <= 2 * max(most, MULTIPLE)
    feed.close()
