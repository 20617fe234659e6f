"""Every architecture from files like the published ones: layout, padding, positions, heads, training, saving."""

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM

from stilts.errors import StiltsError
from stilts.evaluate.evaluation import Evaluated, evaluate, with_language
from stilts.evaluate.predict import forward
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.tasks import schema
from stilts.tasks.base import Task, get_task
from stilts.tasks.families import Lengths, get_family
from stilts.train.batch import Batch
from stilts.train.features import Features
from stilts.train.heads import HeadSpec, head_dropout
from stilts.train.loop import train
from stilts.train.masking import mask_tokens
from stilts.train.model import Model, Pooling
from stilts.train.ranks import Ranks
from stilts.train.step_schedule import TrainPart
from tests.train.checkpoints import CONFIGS, KINDS, make_checkpoint
from tests.train.toys import collate, load_model, make_base, sentences

CPU = torch.device("cpu")
LENGTHS = Lengths(max_length=32, stride=8, max_query_length=8)
PACKING = ("bert", "roberta", "xlm-roberta")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("architectures")
    return {kind: make_checkpoint(kind, out / kind, text_file) for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def base(checkpoints: dict[str, Path], kind: str) -> Path:
    return checkpoints[kind]


# --- what can be learnt -----------------------------------------------------------------------------------


def pairs(count: int) -> pa.Table:
    """The first word of the second text is the class."""
    texts, words = sentences(count, seed=1), ["ba", "de", "fi"]
    rows = [
        (str(i), " ".join(texts[i].split()[: 1 + i % 4]), f"{words[i % 3]} {texts[-1 - i].split()[0]}", i % 3)
        for i in range(count)
    ]
    return pa.Table.from_pylist([dict(zip(schema.CLASSIFICATION.names, row, strict=True)) for row in rows])


def tagged(count: int) -> pa.Table:
    """A word's tag is its first letter's class."""
    tokens = [text.split()[:6] for text in sentences(count, seed=2)]
    tags = [["NOUN" if word[0] < "l" else "VERB" for word in words] for words in tokens]
    return pa.table({"id": list(map(str, range(count))), "tokens": tokens, "tags": tags})


def questions(count: int) -> pa.Table:
    """The answer is the word that the question names."""
    rows = []
    for i, text in enumerate(sentences(count, seed=3)):
        words = text.split()[:6]
        words[i % len(words)] = "zuzu"
        context = " ".join(words)
        answer = {"text": "zuzu", "start": context.index("zuzu")}
        rows.append({"id": str(i), "context": context, "question": "zuzu", "answers": [answer]})
    return pa.Table.from_pylist(rows, schema.SPAN_QA)


TABLES: dict[str, Callable[[int], pa.Table]] = {"xnli": pairs, "udpos": tagged, "xquad": questions}


def encoded(model: Model, name: str, table: pa.Table, training: bool = True) -> pa.Table:
    task = get_task(name)
    features = get_family(task.family).encode(table, model.tokenizer, task, LENGTHS, training)
    return with_language(features, "en")


def loaded(base: Path, name: str) -> Model:
    return Model.load(base, [HeadSpec.of(get_task(name))], seed=1)


def learn(model: Model, name: str, table: pa.Table, recipe: Recipe, runtime: Runtime, ranks: Ranks) -> list[float]:
    """The losses of a stage of one task."""
    part = TrainPart(name, get_task(name).head_name, encoded(model, name, table), recipe)
    return [loss for _, loss in train(model, [part], recipe, runtime, ranks).losses]


def padded(model: Model, table: pa.Table, rows: list[int]) -> Batch:
    features = Features.of(table, model.spec().family)
    return collate(features, [[row] for row in rows], model.config.pad_token_id, CPU, False, model.last_token)


def scores(model: Model, name: str, table: pa.Table, ranks: Ranks) -> Evaluated:
    task: Task = get_task(name)
    settings = {"max_length": 32, "stride": 8, "max_query_length": 8}
    spec = EvaluationSpec(name, task.version, "dev", "en", DataRef(name, "dev", "en", "-"), None, settings)
    run = lambda features, family, options: forward(model, features, options, ranks, family=family)  # noqa: E731
    return evaluate(task, spec, table, None, model.tokenizer, run)


# --- layout -----------------------------------------------------------------------------------------------

FRAMES = {
    "bert": ("[CLS] A [SEP]", "[CLS] A [SEP] B [SEP]", "0 0 0 1 1"),
    "roberta": ("<s> A </s>", "<s> A </s> </s> B </s>", None),
    "xlm-roberta": ("<s> A </s>", "<s> A </s> </s> B </s>", None),
    "xlm": ("<s> A </s>", "<s> A </s> B </s>", None),
    "rembert": ("[CLS] A [SEP]", "[CLS] A [SEP] B [SEP]", "0 0 0 1 1"),
    "deberta-v2": ("[CLS] A [SEP]", "[CLS] A [SEP] B [SEP]", "0 0 0 1 1"),
    "xlnet": ("A <sep> <cls>", "A <sep> B <sep> <cls>", "0 0 1 1 2"),
}
"""One text, two texts, and the token types of two: those of the papers' own code."""


def shown(model: Model, ids: list[int], a: list[int], b: list[int] | None = None) -> str:
    """Token names with the texts as A and B."""
    names = " ".join(model.tokenizer.convert_ids_to_tokens(ids))
    for letter, text in (("A", a), ("B", b)):
        if text is not None:
            whole = " ".join(model.tokenizer.convert_ids_to_tokens(text))
            names = re.sub(rf"(?<!\S){re.escape(whole)}(?!\S)", letter, names, count=1)
    return names


def test_the_frame_is_the_architectures_own(base: Path, kind: str):
    model = loaded(base, "xnli")
    single, pair, types = FRAMES[kind]
    a, b = (model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("bade fi", "fi de"))
    table = pa.table({"id": ["0"], "text_a": ["bade fi"], "text_b": ["fi de"], "label": [0]})
    row = encoded(model, "xnli", table).to_pylist()[0]
    assert shown(model, row["input_ids"], a, b) == pair
    if types is None:
        assert "token_type_ids" not in row
    else:
        marks = {name: int(mark) for name, mark in zip(pair.split(), types.split(), strict=True) if name in "AB"}
        assert row["token_type_ids"][row["input_ids"].index(a[0])] == marks["A"] == 0
        assert row["token_type_ids"][len(row["input_ids"]) - 1 - row["input_ids"][::-1].index(b[-1])] == marks["B"] == 1
        assert row["token_type_ids"][-1] == int(types.split()[-1])
    mlm = get_family("mlm").encode(pa.table({"id": ["0"], "text": ["bade fi"]}), model.tokenizer, None, LENGTHS, True)
    assert shown(model, mlm["input_ids"][0].as_py(), a) == single
    saved = base.parent / "again"
    model.save(saved)
    assert Model.reload(saved).tokenizer("ba", "de")["input_ids"] == model.tokenizer("ba", "de")["input_ids"]
    shutil.rmtree(saved)


def test_ids_and_offsets(base: Path, kind: str):
    """Every id has an embedding, and offsets point at the words."""
    model = loaded(base, "udpos")
    text = "bade zuzu, 北京 fi"
    encoding = model.tokenizer(text, return_offsets_mapping=True)
    assert max(encoding["input_ids"]) < model.encoder.get_input_embeddings().num_embeddings
    covered = {i for start, end in encoding["offset_mapping"] for i in range(start, end)}
    assert {i for i, char in enumerate(text) if char.isascii() and char.isalpha()} <= covered
    assert model.tokenizer.mask_token_id < model.config.vocab_size
    table = pa.table({"id": ["0"], "tokens": [["zuzu", "bade"]], "tags": [["NOUN", "VERB"]]})
    row = encoded(model, "udpos", table).to_pylist()[0]
    for word, position in zip(["zuzu", "bade"], row["positions"], strict=True):
        inside = model.tokenizer(f"fi {word}", add_special_tokens=False)["input_ids"]
        alone = model.tokenizer("fi", add_special_tokens=False)["input_ids"]
        assert row["input_ids"][position] == inside[len(alone)]


def test_no_answer_is_the_class_token(base: Path, kind: str):
    model = loaded(base, "xquad")
    table = questions(3)
    table = table.set_column(3, "answers", pa.array([[]] * 3, schema.SPAN_QA.field("answers").type))
    for row in encoded(model, "xquad", table).to_pylist():
        assert row["null"] == row["start"] == row["end"] == (len(row["input_ids"]) - 1 if kind == "xlnet" else 0)
        assert row["input_ids"][row["null"]] == model.tokenizer.cls_token_id


# --- the forward pass ---------------------------------------------------------------------------------------


def plain_states(model: Model, row: dict[str, Any]) -> Any:
    """What the encoder itself makes of one sequence, without any of stilts's layout."""
    inputs: dict[str, Any] = {"input_ids": torch.tensor([row["input_ids"]])}
    if model.config.model_type in ("bert", "rembert", "xlnet"):
        inputs["token_type_ids"] = torch.tensor([row["token_type_ids"]])
    if model.config.model_type == "xlm":
        inputs["langs"] = torch.full_like(inputs["input_ids"], CONFIGS["xlm"]["lang2id"]["en"])
    return model.encoder(**inputs, output_hidden_states=True)


@torch.no_grad()
def test_a_padded_batch_equals_single_rows_of_the_plain_encoder(base: Path, kind: str):
    model = loaded(base, "xnli").eval()
    table = encoded(model, "xnli", pairs(5))
    rows = table.to_pylist()
    assert len({len(row["input_ids"]) for row in rows}) > 1
    order = list(range(len(rows)))
    outputs = model(padded(model, table, order), "outputs")
    pooled = {pooling: model(padded(model, table, order), Pooling(1, pooling)) for pooling in ("mean", "cls")}
    place = -1 if kind == "xlnet" else 0
    for i, row in enumerate(rows):
        states = plain_states(model, row)
        assert torch.allclose(outputs[i], model.heads["nli"](states.last_hidden_state[:, place])[0], atol=2e-5)
        first_layer = states.hidden_states[1][0]
        assert torch.allclose(pooled["mean"][i], first_layer.mean(0), atol=2e-5)
        assert torch.allclose(pooled["cls"][i], first_layer[place], atol=2e-5)
    assert model.depth == 2
    assert len(states.hidden_states) == 3
    assert torch.allclose(states.hidden_states[-1], states.last_hidden_state)


@torch.no_grad()
def test_segments_and_order_matter(base: Path, kind: str):
    """The model does read positions, and types where its pretraining had them."""
    model = loaded(base, "xnli").eval()
    table = encoded(model, "xnli", pairs(1))
    batch = padded(model, table, [0])
    outputs = model(batch, "outputs")
    ids = batch.input_ids.clone()
    ids[0, 3], ids[0, 4] = batch.input_ids[0, 4], batch.input_ids[0, 3]
    assert not torch.allclose(model(replace(batch, input_ids=ids), "outputs"), outputs, atol=1e-4)
    if batch.types is not None:
        without = model(replace(batch, types=torch.zeros_like(batch.types)), "outputs")
        assert torch.allclose(without, outputs) == (kind == "deberta-v2")  # whose type_vocab_size is 0


@torch.no_grad()
def test_rows_are_shared_only_where_it_changes_nothing(base: Path, kind: str):
    model = loaded(base, "udpos").eval()
    assert model.packs == (kind in PACKING)
    if not model.packs:
        return
    features = Features.of(encoded(model, "udpos", tagged(3)), "tagging")
    packed = collate(features, [[0, 1, 2]], model.config.pad_token_id, CPU, True)
    alone = padded(model, encoded(model, "udpos", tagged(3)), [0, 1, 2])
    assert torch.allclose(model(packed, "outputs"), model(alone, "outputs"), atol=2e-5)


def test_sequences_over_the_positions_are_refused(base: Path, kind: str, ranks: Ranks):
    model = loaded(base, "xnli")
    limit = None if kind in ("xlnet", "deberta-v2") else 64
    assert model.max_length == limit
    table = pa.table({"item": [0], "input_ids": [[4] * 65], "label": [0]})
    if limit is None:
        assert np.isfinite(forward(model, table, {}, ranks)[0]).all()
    else:
        with pytest.raises(StiltsError, match="65 tokens is more than the model's 64"):
            forward(model, table, {}, ranks)


# --- training and saving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_training_lowers_the_loss_and_saving_keeps_the_scores(
    base: Path, kind: str, name: str, ranks: Ranks, tmp_path: Path
):
    model = loaded(base, name)
    table = TABLES[name](24)
    recipe = Recipe(learning_rate=2e-3, epochs=6, batch_size=8, max_length=32, precision="fp32", selection="last")
    losses = learn(model, name, table, recipe, Runtime(), ranks)
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    model.save(tmp_path)
    again = Model.reload(tmp_path).eval()
    before, after = scores(model, name, table, ranks), scores(again, name, table, ranks)
    assert before.predictions == after.predictions
    assert before.metrics is not None
    assert before.metrics == after.metrics
    features = encoded(model, name, table, training=False)
    for ours, theirs in zip(forward(model, features, {}, ranks), forward(again, features, {}, ranks), strict=True):
        assert (ours == theirs).all()


@torch.no_grad()
def test_bf16_weights_come_back_as_such(base: Path, ranks: Ranks, tmp_path: Path):
    model = loaded(base, "xnli").bfloat16()
    model.save(tmp_path)
    again = Model.reload(tmp_path)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.bfloat16}
    features = encoded(model, "xnli", pairs(4))
    for ours, theirs in zip(forward(model, features, {}, ranks), forward(again, features, {}, ranks), strict=True):
        assert np.isfinite(ours).all()
        assert (ours == theirs).all()


def test_gradient_checkpointing_or_a_reason(base: Path, kind: str, ranks: Ranks):
    recipe = Recipe(learning_rate=2e-3, max_steps=2, batch_size=8, max_length=32, precision="fp32", selection="last")
    losses = []
    for runtime in (Runtime(), Runtime(gradient_checkpointing=True)):
        model = loaded(base, "xnli")
        if runtime.gradient_checkpointing and kind in ("xlm", "xlnet"):
            with pytest.raises(StiltsError, match=f"transformers has none for {kind}"):
                learn(model, "xnli", pairs(8), recipe, runtime, ranks)
            return
        losses.append(learn(model, "xnli", pairs(8), recipe, runtime, ranks))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


# --- pretraining heads ----------------------------------------------------------------------------------------

HEADED = ("bert", "roberta", "xlm-roberta", "xlm", "deberta-v2", "deberta-v2 legacy")


def pretrained(checkpoints: dict[str, Path], name: str, out: Path) -> tuple[Path, Any]:
    """A checkpoint with its masked language head, as transformers saves it, and the model that it came from."""
    kind, _, legacy = name.partition(" ")
    shutil.copytree(checkpoints[kind], out)
    config = AutoConfig.from_pretrained(out)
    if kind == "deberta-v2":
        config.legacy = bool(legacy)
    torch.manual_seed(3)
    whole = AutoModelForMaskedLM.from_config(config).eval()
    for parameter in whole.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.2)
    whole.save_pretrained(out)
    return out, whole


def masked(model: Model) -> tuple[Batch, torch.Tensor]:
    """A batch of one sequence, and the same for transformers."""
    table = pa.table({"id": ["0"], "text": [sentences(1)[0]]})
    features = Features.of(with_language(encoded_mlm(model, table), "en"), "mlm")
    special = model.tokenizer.all_special_ids
    hidden = mask_tokens(features, 0.5, special, model.tokenizer.mask_token_id, model.config.vocab_size, (0, 0))
    batch = collate(hidden, [[0]], model.config.pad_token_id, CPU, False)
    return batch, batch.input_ids


def encoded_mlm(model: Model, table: pa.Table) -> pa.Table:
    return get_family("mlm").encode(table, model.tokenizer, get_task("mlm"), LENGTHS, True)


@torch.no_grad()
@pytest.mark.parametrize("name", HEADED)
def test_the_pretraining_head_goes_on(checkpoints: dict[str, Path], tmp_path: Path, name: str):
    folder, whole = pretrained(checkpoints, name, tmp_path / "whole")
    model = load_model(folder, "mlm", seed=9).eval()
    batch, ids = masked(model)
    options = {"langs": torch.full_like(ids, 1)} if name == "xlm" else {}
    theirs = whole(input_ids=ids, **options).logits[0][batch.units]
    assert torch.allclose(model(batch, "outputs"), theirs, atol=1e-4)
    model.save(tmp_path / "stage")
    assert torch.equal(load_model(tmp_path / "stage", "mlm", seed=8).eval()(batch, "outputs"), model(batch, "outputs"))


@pytest.mark.parametrize("kind", ["rembert", "xlnet"])
def test_without_a_pretraining_head_a_fresh_one_is_said(
    checkpoints: dict[str, Path], kind: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, logger="stilts"):
        model = load_model(checkpoints[kind], "mlm", seed=9)
    assert "a random one is trained" in caplog.text
    batch, _ = masked(model)
    assert model(batch).isfinite()


@torch.no_grad()
def test_old_names_and_shards_of_a_pretraining_head(checkpoints: dict[str, Path], tmp_path: Path):
    folder, _ = pretrained(checkpoints, "bert", tmp_path / "whole")
    modern = load_model(folder, "mlm").eval()
    batch, _ = masked(modern)
    wanted = modern(batch, "outputs")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    assert any("gamma" in name for name in old)
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    assert torch.equal(load_model(folder, "mlm").eval()(batch, "outputs"), wanted)
    folder, whole = pretrained(checkpoints, "bert", tmp_path / "shards")
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="20KB")
    assert torch.equal(load_model(folder, "mlm").eval()(batch, "outputs"), wanted)


def test_an_encoder_that_is_only_half_there_is_refused(base: Path, kind: str, tmp_path: Path):
    shutil.copytree(base, tmp_path / "half")
    weights = load_file(base / "model.safetensors")
    gone = {name for name in weights if re.search(r"(layer|attentions|layer_norm[12]|ffns)\.1\.", name)}
    assert gone
    kept = {name: value for name, value in weights.items() if name not in gone}
    save_file(kept, tmp_path / "half" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StiltsError, match=f"{len(gone)} tensors of a {kind} encoder"):
        Model.load(tmp_path / "half")


# --- XLM ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_xlm_reads_the_language(checkpoints: dict[str, Path], ranks: Ranks, caplog: pytest.LogCaptureFixture):
    model = loaded(checkpoints["xlm"], "xnli").eval()
    table = encoded(model, "xnli", pairs(2)).drop_columns("language")
    run = lambda language: forward(model, with_language(table, language), {}, ranks)  # noqa: E731
    english, german = run("en"), run("de")
    assert not np.allclose(english, german, atol=1e-3)
    both = pa.concat_tables([with_language(table.slice(0, 1), "de"), with_language(table.slice(0, 1), "en")])
    assert np.allclose(forward(model, both, {}, ranks), [german[0], english[0]], atol=2e-5)
    with caplog.at_level(logging.WARNING, logger="stilts"):
        assert np.array_equal(run("sw"), english)
        run("sw")
    assert caplog.text.count("no language embedding for 'sw'") == 1


def test_xlm_without_language_embeddings_needs_no_ids(tmp_path: Path, text_file: Path):
    many = make_checkpoint("xlm", tmp_path / "100", text_file, use_lang_emb=False, lang2id=None)
    assert Model.load(many).language_ids is None
    nameless = make_checkpoint("xlm", tmp_path / "nameless", text_file, lang2id=None)
    with pytest.raises(StiltsError, match="3 language embeddings needs lang2id"):
        Model.load(nameless)


# --- randomly initialised base models, and small facts --------------------------------------------------------


def test_a_base_made_on_the_spot_has_the_architectures_frame(kind: str, tmp_path: Path, text_file: Path):
    base = make_base(tmp_path, text_file, plain=True, model_type=kind, **CONFIGS[kind])
    model = Model.load(base)
    names = {"[CLS]": "<s>", "[SEP]": "</s>", "<cls>": "<s>", "<sep>": "</s>"}
    wanted = [names.get(piece, piece) for piece in FRAMES[kind][1].split()]
    a, b = (model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("bade fi", "fi de"))
    assert shown(model, model.tokenizer("bade fi", "fi de")["input_ids"], a, b).split() == wanted


def test_dropout_before_a_classifier():
    fields = {
        "roberta": "classifier_dropout",
        "rembert": "classifier_dropout_prob",
        "deberta-v2": "cls_dropout",
        "xlnet": "summary_last_dropout",
        "xlm": "summary_first_dropout",
    }
    for kind, name in fields.items():
        assert head_dropout(AutoConfig.for_model(kind, **{name: 0.37})) == 0.37
    assert head_dropout(AutoConfig.for_model("bert", hidden_dropout_prob=0.23)) == 0.23
