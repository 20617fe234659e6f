"""Encoders with tokenizers like their own: layout, blanks before words, retrieval layer, training, saving."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.tasks.families.words import word_subwords
from stilts.train.model import Model, Pooling
from stilts.train.ranks import Ranks
from stilts.train.tokenizer import load_tokenizer
from tests.train.checkpoints import NEWER, make_checkpoint
from tests.train.test_architectures import TABLES, encoded, learn, loaded, padded, pairs, scores, shown

FRAMES = {
    "mmbert": "<bos> A <eos> B <eos>",
    "modernbert": "[CLS] A [SEP] B [SEP]",
    "eurobert": "<|begin_of_text|> A <|end_of_text|> B <|end_of_text|>",
    **dict.fromkeys(("gte", "xlm-roberta-xl", "xmod", "minilm"), "<s> A </s> </s> B </s>"),
}
WORDS = ["bade", "fi,", "", "zuzu", "北京", "don't"]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Callable[[str], Path]:
    """Makes each checkpoint when it is first asked for."""
    out, made = tmp_path_factory.mktemp("newer"), {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_checkpoint(kind, out / kind, text_file)
        return made[kind]

    return make


@pytest.fixture(params=NEWER)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def base(checkpoints: Callable[[str], Path], kind: str) -> Path:
    return checkpoints(kind)


def test_the_frame_is_the_tokenizers_own(base: Path, kind: str) -> None:
    model = loaded(base, "xnli")
    a, b = (model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("bade fi", "fi de"))
    table = pa.table({"id": ["0"], "text_a": ["bade fi"], "text_b": ["fi de"], "label": [0]})
    assert shown(model, encoded(model, "xnli", table)["input_ids"][0].as_py(), a, b) == FRAMES[kind]


def test_words_are_tokenized_as_in_a_text(base: Path) -> None:
    """With the blank before each of them, and with a token for a word that is empty."""
    tokenizer = load_tokenizer(base)
    words = word_subwords(pa.array(WORDS), tokenizer, longest=50)
    ids = [words[i].tolist() for i in range(len(WORDS))]
    assert all(ids)
    without = [i for word, i in zip(WORDS, ids, strict=True) if word]
    text = "".join(f" {word}" for word in WORDS if word)
    assert list(chain(*without)) == tokenizer(text, add_special_tokens=False)["input_ids"]
    first = [tokenizer.convert_ids_to_tokens(word[0])[0] for word in without]
    assert set(first) in ({"▁"}, {"Ġ"})


@torch.no_grad()
def test_sentence_vectors_are_those_of_the_layer(base: Path, kind: str) -> None:
    """Also in the second call, whose forward pass ends after that layer."""
    model = loaded(base, "xnli").eval()
    table = encoded(model, "xnli", pairs(3))
    batch = padded(model, table, [0, 1, 2])
    for _ in range(2):
        pooled = model(batch, Pooling(1, "mean"))
        for i, ids in enumerate(table["input_ids"].to_pylist()):
            inputs = {"lang_ids": torch.tensor([1])} if kind == "xmod" else {}
            states = model.encoder(torch.tensor([ids]), output_hidden_states=True, **inputs).hidden_states[1]
            assert torch.allclose(pooled[i], states[0].mean(0), atol=2e-5)
    assert model._layer_states._readers[1] is not None


@pytest.mark.parametrize("name", TABLES)
def test_training_lowers_the_loss_and_saving_keeps_the_scores(
    base: Path, kind: str, name: str, ranks: Ranks, tmp_path: Path
) -> None:
    model = loaded(base, name)
    table = TABLES[name](24)
    rate = 2e-2 if kind == "xmod" else 2e-3  # whose embeddings and adapters stay as they are
    recipe = Recipe(learning_rate=rate, epochs=6, batch_size=8, max_length=64, precision="fp32", selection="last")
    losses = learn(model, name, table, recipe, Runtime(), ranks)
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    model.save(tmp_path)
    again = Model.reload(tmp_path).eval()
    before, after = scores(model, name, table, ranks), scores(again, name, table, ranks)
    assert before.predictions == after.predictions
    assert before.metrics is not None
    assert before.metrics == after.metrics


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_fine_tuning_leaves_xmods_embeddings_and_adapters(
    checkpoints: Callable[[str], Path], engine: str, precision: str, ranks: Ranks
) -> None:
    """To the last bit of fp32, also when the forward pass rounds them."""
    model = loaded(checkpoints("xmod"), "xnli")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    recipe = Recipe(learning_rate=2e-3, max_steps=3, batch_size=8, max_length=32, precision=precision, selection="last")
    learn(model, "xnli", pairs(8), recipe, Runtime(engine=engine), ranks)
    same = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
    frozen = {name for name in before if "adapter" in name or ".embeddings." in name}
    assert len(frozen) > 10
    assert same == frozen
    assert all(p.requires_grad for p in Model.load(checkpoints("xmod")).heads.parameters())


def test_xlmrs_tokenizer_in_a_bert(checkpoints: Callable[[str], Path]) -> None:
    """The id of its padding token is not the one in config.json; what the model sees does not depend on it."""
    model = loaded(checkpoints("minilm"), "xnli").eval()
    assert (model.tokenizer.pad_token_id, model.config.pad_token_id) == (1, 0)
    assert model.tokenizer.cls_token_id == 0, "the class token has the id that config.json gives padding"
    table = encoded(model, "xnli", pairs(4))
    batch = padded(model, table, [0, 1, 2, 3])
    assert not batch.full
    with torch.no_grad():
        alone = torch.cat([model(padded(model, table, [i]), "outputs") for i in range(4)])
        assert torch.allclose(model(batch, "outputs"), alone, atol=1e-5)
        other = batch.input_ids.masked_fill(batch.segments == 0, model.tokenizer.pad_token_id)
        batch.input_ids.copy_(other)
        assert torch.allclose(model(batch, "outputs"), alone, atol=1e-5)
