"""The model: packing, heads, saving and loading."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from stilts.data.batching import split_packed
from stilts.errors import Problems, StiltsError
from stilts.train.features import Features
from stilts.train.heads import head_of
from stilts.train.masking import mask_tokens
from stilts.train.model import Model, Pooling
from tests.train.toys import NO_DROPOUT, collate, head_spec, load_model, make_base, make_features

CPU = torch.device("cpu")
FAMILIES = ["classification", "multiple_choice", "tagging", "parsing", "srl", "span_qa", "mlm"]


def features_of(family: str, model: Model, count: int = 12) -> Features:
    features = Features.of(make_features(family, count), family)
    if family == "mlm":
        special = model.tokenizer.all_special_ids
        features = mask_tokens(features, 0.3, special, model.tokenizer.mask_token_id, len(model.tokenizer), (0, 0))
    return features


def loss_and_gradient(model: Model, features: Features, packed: bool) -> tuple[float, dict[str, torch.Tensor]]:
    lengths = features.ids.lengths.tolist()
    rows = split_packed(lengths, features.item.tolist(), 64, 10**6, 1)[0][0]
    if not packed:
        rows = [[i] for i in range(len(features))]
    assert not packed or len(rows) < len(features)
    model.zero_grad()
    loss = model(collate(features, rows, model.config.pad_token_id, CPU, packed))
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_equals_padded(base: Path, family: str):
    model = load_model(base, family, 2)
    features = features_of(family, model)
    loss, gradient = loss_and_gradient(model, features, packed=False)
    packed_loss, packed_gradient = loss_and_gradient(model, features, packed=True)
    assert packed_loss == pytest.approx(loss, rel=1e-6)
    for name, value in gradient.items():
        assert torch.allclose(packed_gradient[name], value, atol=1e-5), name


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_other_families_pack_as_well(tmp_path: Path, text_file: Path, kind: str):
    model = load_model(make_base(tmp_path, text_file, model_type=kind, **NO_DROPOUT), "classification", 2)
    assert model.packs
    features = features_of("classification", model)
    loss, gradient = loss_and_gradient(model, features, packed=False)
    packed_loss, packed_gradient = loss_and_gradient(model, features, packed=True)
    assert packed_loss == pytest.approx(loss, rel=1e-6)
    assert all(torch.allclose(packed_gradient[name], value, atol=1e-5) for name, value in gradient.items())


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("deberta-v2", {}),
        ("rembert", {"input_embedding_size": 16}),
        ("xlm", {"emb_dim": 32, "n_layers": 2, "n_heads": 2, "n_langs": 1}),
        ("xlnet", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}),
    ],
)
def test_families_that_cannot_be_packed_are_padded(tmp_path: Path, text_file: Path, kind: str, config: dict):
    small = {} if kind in ("xlm", "xlnet") else NO_DROPOUT
    base = make_base(tmp_path, text_file, model_type=kind, plain=kind in ("xlm", "xlnet"), **small, **config)
    for family in ("classification", "mlm"):
        model = load_model(base, family, 2)
        assert not model.packs
        loss, gradient = loss_and_gradient(model, features_of(family, model), packed=False)
        assert np.isfinite(loss)
        assert len(gradient) > 10


def test_the_loss_is_transformers_own_for_a_classifier(base: Path):
    model = load_model(base, "classification", 2).eval()
    features = features_of("classification", model)
    loss, _ = loss_and_gradient(model, features, packed=True)
    logits = []
    for row in range(len(features)):
        states = model.encoder(torch.tensor(features.ids[row]).long()[None]).last_hidden_state
        logits.append(model.heads["classification"](states[:, 0]))
    labels = torch.tensor(features.numbers("label")).long()
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(torch.cat(logits), labels, reduction="sum").item())


def test_padding_takes_no_part_in_a_windows_softmax():
    logits = torch.zeros(5, 2)
    tokens = torch.tensor([[0, 1, 5], [2, 3, 4]])
    targets = {"start": torch.tensor([0, 1]), "end": torch.tensor([0, 1]), "tokens": tokens}
    assert head_of("span_qa").loss_sum(logits, targets).item() == pytest.approx(np.log(2) + np.log(3))


def test_choices_compete_within_their_item():
    logits = torch.zeros(5, 1)
    targets = {"labels": torch.tensor([1, 2]), "choices": torch.tensor([[1, 3, 5], [0, 2, 4]])}
    assert head_of("multiple_choice").loss_sum(logits, targets).item() == pytest.approx(np.log(2) + np.log(3))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_loads_as_it_was(base: Path, tmp_path: Path, family: str):
    model = load_model(base, family, 2, seed=5).eval()
    features = features_of(family, model, 4)
    batch = collate(features, [[i] for i in range(len(features))], 1, CPU, False)
    model.save(tmp_path)
    again = Model.reload(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(batch, "outputs"), model(batch, "outputs"))
        encoder = AutoModel.from_pretrained(tmp_path).eval()
        mask = (batch.segments > 0).long()
        hidden = encoder(batch.input_ids, attention_mask=mask).last_hidden_state
        ours = model.encoder(batch.input_ids, attention_mask=mask).last_hidden_state
        assert torch.equal(hidden, ours)
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == model.config.vocab_size


def test_heads_are_fresh_and_fixed_by_the_seed(base: Path):
    weights = [load_model(base, "tagging", 3, seed).heads["tagging"].output.weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_language_head_is_continued_from_a_stage_and_from_pretraining(base: Path, tmp_path: Path):
    model = load_model(base, "mlm", seed=3)
    model.save(tmp_path / "stage")
    dense = model.heads["mlm"].dense.weight
    assert torch.equal(load_model(tmp_path / "stage", "mlm", seed=4).heads["mlm"].dense.weight, dense)
    assert not torch.equal(load_model(base, "mlm", seed=4).heads["mlm"].dense.weight, dense)

    pretrained = tmp_path / "pretrained"
    model.save(pretrained)
    (pretrained / "head.json").unlink()
    weights = {f"roberta.{name}": value for name, value in load_file(pretrained / "model.safetensors").items()}
    weights |= {
        f"lm_{name.replace('mlm', 'head', 1)}": value
        for name, value in load_file(pretrained / "head.safetensors").items()
    }
    save_file(weights, pretrained / "model.safetensors", metadata={"format": "pt"})
    again = load_model(pretrained, "mlm", seed=4)
    assert torch.equal(again.heads["mlm"].dense.weight, model.heads["mlm"].dense.weight)
    assert torch.equal(next(again.encoder.parameters()), next(model.encoder.parameters()))


def several_heads(base: Path, seed: int = 0) -> Model:
    specs = [
        head_spec("classification", 3, name="nli"),
        head_spec("tagging", 4),
        head_spec("span_qa"),
        head_spec("mlm"),
    ]
    return Model.load(base, specs, seed)


def test_a_head_is_a_function_of_seed_and_name_whatever_stands_beside_it(base: Path):
    together, alone = several_heads(base), Model.load(base, [head_spec("classification", 3, name="nli")])
    other = Model.load(base, [head_spec("classification", 3, name="qqp")])
    weights = [model.heads[name].output.weight for model, name in ((together, "nli"), (alone, "nli"), (other, "qqp"))]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_several_heads_are_saved_and_listed_with_their_labels(base: Path, tmp_path: Path):
    model = several_heads(base, seed=3).eval()
    model.save(tmp_path)
    again = Model.reload(tmp_path).eval()
    assert list(again.specs.values()) == list(model.specs.values())
    assert again.spec("tagging").labels == ("0", "1", "2", "3")
    for name, spec in model.specs.items():
        features = features_of(spec.family, model, 4)
        batch = collate(features, [[i] for i in range(len(features))], 1, CPU, False, head=name)
        with torch.no_grad():
            assert torch.equal(again(batch, "outputs"), model(batch, "outputs")), name


def test_a_language_head_is_continued_among_several(base: Path, tmp_path: Path):
    several_heads(base, seed=3).save(tmp_path)
    first, again = Model.reload(tmp_path), several_heads(tmp_path, seed=4)
    assert torch.equal(again.heads["mlm"].dense.weight, first.heads["mlm"].dense.weight)
    assert not torch.equal(again.heads["nli"].output.weight, first.heads["nli"].output.weight)


def test_a_head_that_is_not_there_is_told(base: Path):
    with pytest.raises(StiltsError, match="no head 'qqp'; it has nli, tagging, span_qa, mlm"):
        several_heads(base).spec("qqp")
    with pytest.raises(StiltsError, match="no head None"):
        several_heads(base).spec()
    with pytest.raises(StiltsError, match="it has none"):
        Model.load(base).spec()


def test_loading_says_what_is_missing(base: Path, tmp_path: Path):
    with pytest.raises(StiltsError, match=r"no head\.json"):
        Model.reload(base)
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(Problems, match=r"model.safetensors is missing"):
        load_model(tmp_path, "mlm")


def test_pooling_averages_over_the_sequences_own_tokens(base: Path):
    model = load_model(base, "retrieval").eval()
    features = Features.of(make_features("retrieval", 3), "retrieval")
    batch = collate(features, [[0], [1], [2]], 1, CPU, False)
    with torch.no_grad():
        mean, first = model(batch, Pooling(1, "mean")), model(batch, Pooling(1, "cls"))
        for row in range(3):
            ids = torch.tensor(features.ids[row]).long()[None]
            states = model.encoder(ids, output_hidden_states=True).hidden_states[1][0]
            assert torch.allclose(mean[row], states.mean(0), atol=1e-5)
            assert torch.allclose(first[row], states[0], atol=1e-5)


def test_masking_hides_a_share_of_the_words_and_no_special_token():
    features = Features.of(make_features("mlm", 400), "mlm")
    masked = mask_tokens(features, 0.15, [0, 1, 2, 3, 199], 199, 200, (1, 2))
    again = mask_tokens(features, 0.15, [0, 1, 2, 3, 199], 199, 200, (1, 2))
    assert (masked.ids.values == again.ids.values).all()
    hidden = masked.units
    words = int((features.ids.values > 3).sum())
    assert hidden / words == pytest.approx(0.15, abs=0.02)
    assert (masked.ids.values == 199).sum() / hidden == pytest.approx(0.8, abs=0.05)
    for row in (0, 1, 2):
        assert (features.ids[row][masked.lists("positions")[row]] == masked.lists("labels")[row]).all()
    assert set(masked.lists("labels").values).isdisjoint({0, 1, 2, 3, 199})
