"""The table of pins, and what plan makes of it."""

import re

import pytest

from stilts.encoders.architectures import published
from stilts.encoders.pins import is_commit, pin_is_known, pin_problem, pin_warning, resolve_revision
from stilts.experiment.recipe import Recipe

COMMIT = re.compile(r"[0-9a-f]{40}")
PINS = {
    # id: (revision, whether it was seen to hold safetensors)
    "google-bert/bert-base-multilingual-cased": ("3f076fdb1ab68d5b2880cb87a0886f315b8146f8", True),
    "intfloat/multilingual-e5-small": ("614241f622f53c4eeff9890bdc4f31cfecc418b3", True),
    "sentence-transformers/LaBSE": ("836121a0533e5664b21c7aacc5d22951f2b8b25b", False),
    "microsoft/Multilingual-MiniLM-L12-H384": (None, False),
    "FacebookAI/roberta-base": (None, False),
    "FacebookAI/roberta-large": ("722cf37b1afa9454edce342e7895e588b6ff1d59", True),
    "FacebookAI/xlm-roberta-base": ("e73636d4f797dec63c3081bb6ed5c7b0bb3f2089", True),
    "FacebookAI/xlm-roberta-large": ("c23d21b0620b635a76227c604d44e43a9f0ee389", True),
    "microsoft/infoxlm-base": ("refs/pr/1", True),
    "microsoft/infoxlm-large": ("dfcde1348c1f1206ec09d2bb54ff42776ba33334", True),
    "facebook/xlm-v-base": ("643a987aa713ecd3c9a26a801fc715aa7f56b409", True),
    "intfloat/multilingual-e5-base": ("d128750597153bb5987e10b1c3493a34e5a4502a", True),
    "intfloat/multilingual-e5-large": ("3d7cfbdacd47fdda877c5cd8a79fbcc4f2a574f3", False),
    "BAAI/bge-m3": ("9a0624b896d81da7492a910ffa53731274b6cf3d", True),
    "FacebookAI/xlm-mlm-17-1280": ("19dd10826601ae8b88956b03876174b5d4381506", True),
    "FacebookAI/xlm-mlm-100-1280": ("refs/pr/2", True),
    "FacebookAI/xlm-mlm-xnli15-1024": (None, False),
    "FacebookAI/xlm-mlm-tlm-xnli15-1024": ("main", True),
    "google/rembert": ("refs/pr/3", True),
    "microsoft/mdeberta-v3-base": ("faf660b811036d7b6dfc53aacfe5281447d4e2c6", True),
    "xlnet/xlnet-base-cased": ("refs/pr/1", True),
    "xlnet/xlnet-large-cased": ("refs/pr/2", True),
    "jhu-clsp/mmBERT-base": ("ca5b84ba39fb0531402e727a3d9a50626d9f522c", True),
    "jhu-clsp/mmBERT-small": ("461475a70b192efcbb760df5541d3825b07c4d5b", True),
    "EuroBERT/EuroBERT-210m": ("39b51e15dd1f1a06f58b5cbf6a8a188cec60bd0e", True),
    "EuroBERT/EuroBERT-610m": (None, False),
    "EuroBERT/EuroBERT-2.1B": ("main", True),
    "facebook/xlm-roberta-xl": ("aa5d120255845efeebc9b7f42822a1dd0f9ece9d", True),
    "facebook/xlm-roberta-xxl": ("refs/pr/2", True),
    "facebook/xmod-base": ("6c576d13b71e9662f746dd8efaea2dd81ad72070", True),
    "Alibaba-NLP/gte-multilingual-mlm-base": ("refs/pr/2", True),
}


def test_the_table_is_this_one() -> None:
    assert {one.id: (one.revision, bool(one.seen)) for one in published().values()} == PINS


def test_what_was_seen_says_when_and_by_what() -> None:
    for one in published().values():
        assert not one.seen or re.fullmatch(r"20\d\d-\d\d, .+", one.seen)
        assert not one.seen or one.revision
        assert one.revision is None or COMMIT.fullmatch(one.revision) or re.fullmatch(r"refs/pr/\d+|main", one.revision)
        assert one.revision not in one.without


@pytest.mark.parametrize("name", published())
def test_a_revision_is_known_lacking_or_not_known(name: str) -> None:
    one = published()[name]
    for revision in one.without:
        assert f"{one.id}@{revision} has no safetensors" in str(pin_problem(one.id, revision))
        assert str(one.revision) in str(pin_problem(one.id, revision))
    if one.seen:
        assert pin_is_known(one.id, str(one.revision))
        assert pin_warning(one.id, str(one.revision)) is None
    assert "not known to hold safetensors" in str(pin_warning(one.id, "0" * 40))


@pytest.mark.parametrize(
    ("hub", "why"),
    [
        ("chandar-lab/NeoBERT", "needs code that comes with the checkpoint"),
        ("jinaai/jina-embeddings-v3", "needs code that comes with the checkpoint"),
        ("Qwen/Qwen3-Embedding-0.6B", "is a decoder"),
    ],
)
def test_checkpoints_of_no_use_are_refused_by_name(hub: str, why: str) -> None:
    assert f"{hub} {why}" in str(pin_problem(hub, "main"))


def test_published_recipes_have_a_source() -> None:
    for one in published().values():
        assert bool(one.recipes) == bool(one.recipe_source)
        for fields in one.recipes.values():
            Recipe(**fields, **({} if "epochs" in fields else {"epochs": 1}))


def test_another_owner_is_another_model() -> None:
    assert not pin_is_known("somebody/xlm-roberta-large", "c23d21b0620b635a76227c604d44e43a9f0ee389")
    assert pin_problem("somebody/rembert", "main") is None


def test_the_commit_of_a_pull_request_is_known_by_its_first_digits() -> None:
    assert pin_is_known("google/rembert", "e9873b1" + "0" * 33)
    assert not pin_is_known("google/rembert", "f" * 40)


def test_a_commit_is_its_own() -> None:
    assert is_commit("0" * 40)
    assert not is_commit("c23d21b")
    assert resolve_revision("a/b", "0" * 40) == "0" * 40
