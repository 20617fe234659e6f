"""The entries of the library against transformers' own models, with random weights."""

import importlib
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from stilts.encoders.architectures import AFTER_PADDING, Architecture, architecture, architectures, max_tokens, register
from stilts.errors import StiltsError
from stilts.evaluate.evaluation import with_language
from stilts.evaluate.predict import forward
from stilts.tasks.base import get_task
from stilts.tasks.families import Lengths, get_family
from stilts.train.batch import Batch
from stilts.train.features import Features
from stilts.train.masking import mask_tokens
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from tests.train.toys import NO_DROPOUT, collate, load_model, make_base, sentences

CPU = torch.device("cpu")
LENGTHS = Lengths(max_length=32)
WIDE = {"initializer_range": 0.2}
CONFIGS: dict[str, dict[str, Any]] = {
    "camembert": {"max_position_embeddings": 66, "type_vocab_size": 1, **NO_DROPOUT},
    "xlm-roberta-xl": {"max_position_embeddings": 66, "type_vocab_size": 1, **NO_DROPOUT},
    "xmod": {
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "languages": ["de_DE", "en_XX", "fr_XX"],
        **NO_DROPOUT,
    },
    # A window of 4 tokens in the second layer, narrower than the texts.
    "modernbert": {
        "max_position_embeddings": 64,
        "local_attention": 4,
        "layer_types": ["full_attention", "sliding_attention"],
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
    "eurobert": {"max_position_embeddings": 64, "num_key_value_heads": 1},
    "gte": {"max_position_embeddings": 64, **NO_DROPOUT},
}
"""Architectures beside those of tests/train/checkpoints.py, which come in files like the published ones."""


@pytest.fixture(params=CONFIGS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def base(kind: str, text_file: Path, tmp_path: Path) -> Path:
    return make_base(tmp_path / "base", text_file, **{"model_type": kind, **WIDE, **CONFIGS[kind]})


def features_of(model: Model, count: int) -> Features:
    table = pa.table({"id": [str(i) for i in range(count)], "text": sentences(count)})
    encoded = get_family("mlm").encode(table, model.tokenizer, get_task("mlm"), LENGTHS, True)
    hidden = Features.of(with_language(encoded, "fr"), "mlm")
    special = model.tokenizer.all_special_ids
    return mask_tokens(hidden, 0.5, special, model.tokenizer.mask_token_id, model.config.vocab_size, (0, 0))


def batch_of(model: Model, features: Features, rows: list[list[int]], packed: bool = False) -> Batch:
    return collate(features, rows, model.config.pad_token_id, CPU, packed)


def plain(kind: str, ids: torch.Tensor) -> dict[str, Any]:
    return {"input_ids": ids, **({"lang_ids": torch.tensor([2])} if kind == "xmod" else {})}


def whole_checkpoint(kind: str, base: Path, **config: Any) -> Any:
    """Give the base the weights of a model with its masked language modelling head, and return that model."""
    torch.manual_seed(3)
    settings = AutoConfig.from_pretrained(base)
    for name, value in config.items():
        setattr(settings, name, value)
    whole = AutoModelForMaskedLM.from_config(settings).eval()
    for parameter in whole.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.2)
    whole.save_pretrained(base)
    return whole


@torch.no_grad()
def test_a_padded_batch_equals_single_rows_of_the_plain_encoder(base: Path, kind: str) -> None:
    model = load_model(base, "mlm").eval()
    features = features_of(model, 4)
    batch = batch_of(model, features, [[0], [1], [2], [3]])
    states = model.encode(batch).last_hidden_state
    assert len({int(n) for n in (batch.segments > 0).sum(1)}) > 1
    for row in range(4):
        ids = batch.input_ids[row][batch.segments[row] > 0][None]
        alone = model.encoder(**plain(kind, ids)).last_hidden_state[0]
        assert torch.allclose(states[row, : ids.shape[1]], alone, atol=2e-5)


def loss_and_gradients(model: Model, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The head's outputs, and the gradients of the loss of a batch."""
    model.zero_grad()
    model(batch).backward()
    with torch.no_grad():
        outputs = model(batch, "outputs")
    return outputs, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_a_row_of_several_sequences_equals_rows_of_one(base: Path, kind: str) -> None:
    """Outputs of the head, and gradients, within 1e-5 of their size (1e-6 for those that are zero)."""
    model = load_model(base, "mlm").eval()
    assert model.packs == (kind != "xmod"), "the adapter of X-MOD is chosen by row"
    if not model.packs:
        return
    features = features_of(model, 5)
    outputs, gradients = loss_and_gradients(model, batch_of(model, features, [[0, 1, 2], [3, 4]], packed=True))
    alone, alone_gradients = loss_and_gradients(model, batch_of(model, features, [[0], [1], [2], [3], [4]]))
    assert torch.allclose(outputs, alone, atol=1e-5 * float(alone.abs().max()))
    assert len(gradients) > 10
    for name, gradient in alone_gradients.items():
        assert torch.allclose(gradients[name], gradient, atol=1e-5 * float(gradient.abs().max()) + 1e-6), name


@torch.no_grad()
def test_a_window_limits_what_a_token_sees(text_file: Path, tmp_path: Path) -> None:
    """A token out of the window of every layer does not change a state; one within it does."""
    fields = {**WIDE, **CONFIGS["modernbert"], "layer_types": ["sliding_attention", "sliding_attention"]}
    model = load_model(make_base(tmp_path / "base", text_file, model_type="modernbert", **fields), "tagging").eval()
    window = model.config.sliding_window
    assert window == 2
    ids = [[0, *range(10, 30), 2], [0, 7, 8, 2]]
    features = Features.of(pa.table({"item": [0, 1], "input_ids": ids, "positions": [[1], [1]]}), "tagging")
    for packed in (True, False):
        batch = batch_of(model, features, [[0, 1]] if packed else [[0], [1]], packed)
        states = model.encode(batch).last_hidden_state[0]
        for place, seen in ((2 * window, True), (2 * window + 1, False)):
            other = batch.input_ids.clone()
            other[0, place] = 50
            changed = model.encode(replace(batch, input_ids=other)).last_hidden_state[0]
            assert torch.allclose(states[0], changed[0], atol=1e-6) is not seen
            assert torch.isfinite(changed).all()


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False])
def test_the_pretraining_head_is_continued(base: Path, kind: str, tied: bool, tmp_path: Path) -> None:
    whole = whole_checkpoint(kind, base, tie_word_embeddings=tied)
    model = load_model(base, "mlm", seed=9).eval()
    batch = batch_of(model, features_of(model, 1), [[0]])
    theirs = whole(**plain(kind, batch.input_ids)).logits[0][batch.units]
    assert torch.allclose(model(batch, "outputs"), theirs, atol=1e-3)
    model.save(tmp_path / "stage")
    again = load_model(tmp_path / "stage", "mlm", seed=8).eval()
    assert torch.equal(again(batch, "outputs"), model(batch, "outputs"))
    assert torch.equal(Model.reload(tmp_path / "stage").eval()(batch, "outputs"), model(batch, "outputs"))


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if architecture(kind).rotary])
def test_rotary_positions_reach_as_far_as_pretraining_did(base: Path, kind: str, ranks: Ranks) -> None:
    model = load_model(base, "classification").eval()
    assert model.max_length == max_tokens(model.config.to_dict()) == 64
    rows = lambda length: pa.table({"item": [0], "input_ids": [[0, *[5] * (length - 2), 2]], "label": [0]})  # noqa: E731
    assert np.isfinite(forward(model, rows(64), {}, ranks)[0]).all()
    with pytest.raises(StiltsError, match="65 tokens is more than the model's 64"):
        forward(model, rows(65), {}, ranks)


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind, config in CONFIGS.items() if not architecture(kind).rotary])
def test_the_longest_sequence_is_the_one_that_positions_hold(base: Path, kind: str) -> None:
    model = Model.load(base).eval()
    limit = max_tokens(model.config.to_dict())
    assert limit == model.max_length == 64
    model.encoder(**plain(kind, torch.full((1, limit), 5)))
    with pytest.raises((IndexError, RuntimeError)):
        model.encoder(**plain(kind, torch.full((1, limit + 1), 5)))


@pytest.mark.parametrize("kind", ["electra", "distilbert", "albert"])
def test_a_head_that_nothing_knows_to_continue_is_refused(text_file: Path, tmp_path: Path, kind: str) -> None:
    base = make_base(tmp_path / "base", text_file, model_type=kind, max_position_embeddings=64, embedding_size=32)
    load_model(base, "classification")
    whole_checkpoint(kind, base)
    load_model(base, "classification")
    with pytest.raises(StiltsError, match=f"does not know how to continue for the model type '{kind}'"):
        load_model(base, "mlm")


@torch.no_grad()
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_a_base_model_is_computed_in_fp32_whatever_its_file_has(text_file: Path, tmp_path: Path, half: Any) -> None:
    base = make_base(tmp_path / "base", text_file)
    AutoModel.from_pretrained(base).to(half).save_pretrained(base)
    assert Model.load(base).dtype == torch.float32
    load_model(base, "classification").to(half).save(tmp_path / "stage")
    assert Model.reload(tmp_path / "stage").dtype == half, "a stage keeps the precision of its recipe"


def test_types_that_count_positions_after_the_padding_are_those_of_transformers() -> None:
    """Read from the source of every masked language model."""
    found = set()
    for kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        module = inspect.getmodule(type(AutoConfig.for_model(kind)))
        assert module is not None
        source = Path(module.__file__ or "").with_name(
            Path(module.__file__ or "").name.replace("configuration_", "modeling_")
        )
        if "create_position_ids_from_input_ids" in source.read_text():
            found.add(kind)
    assert found == AFTER_PADDING


def test_an_entry_is_found_by_its_file_and_its_name_is_its_own() -> None:
    files = {
        path.stem
        for path in Path(importlib.import_module("stilts.encoders.library").__file__ or "").parent.glob("[a-z]*.py")
    }
    assert {kind.replace("-", "_") for kind in architectures()} == files
    with pytest.raises(ValueError, match="two entries for the model type 'bert'"):
        register(Architecture(model_type="bert"))


def test_a_type_without_an_entry_is_padded_and_has_no_known_head() -> None:
    facts = architecture("electra")
    assert not facts.packs
    assert not facts.pretrained_heads
    assert architecture("luke").after_padding
    assert max_tokens({"model_type": "luke", "pad_token_id": 1, "max_position_embeddings": 514}) == 512
