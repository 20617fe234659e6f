"""Names in claims are checked before anything runs, and claims know the evaluations that they rest on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stilts.errors import Problems
from stilts.plan.claims import claims_of
from stilts.plan.evidence import evidence
from stilts.session import Session

EXPERIMENT = {
    "name": "claims",
    "seeds": [1, 2],
    "models": {
        "tiny": {
            "init": {
                "config": {
                    "model_type": "xlm-roberta",
                    "hidden_size": 16,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                },
                "tokenizer": {"vocab_size": 300},
            }
        }
    },
    "intermediates": ["none", "mnli"],
    "targets": ["udpos", "xquad", "tatoeba"],
    "noise": {"kinds": ["swap"], "rates": [0.1], "targets": ["udpos"]},
    "recipe": {"precision": "fp32", "max_steps": 2},
    "data": {"generate": {"languages": 2, "sentences": 200}},
}


def opened(folder: Path, claim: dict[str, Any], **changes: Any) -> Session:
    declared = {**EXPERIMENT, "store": str(folder / "store"), "claims": {"one": {"text": "x", **claim}}, **changes}
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump(declared))
    return Session.open(path)


def difference(**fields: Any) -> dict[str, Any]:
    return {"difference": {"regime": "mnli", "target": "udpos", "above": 0, **fields}}


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            difference(regime="mnlii"),
            "claims.one.difference.regime: the experiment has no regime 'mnlii'; did",
        ),
        (difference(against="mnli"), "claims.one.difference.against: 'mnli' is compared with itself"),
        (
            difference(target="udpo"),
            "claims.one.difference.target: the experiment has no target 'udpo'; did",
        ),
        (difference(target="qa"), "qa is the mean over xquad, mlqa, tydiqa; the experiment has no target mlqa, tydiqa"),
        (difference(model="large"), "claims.one.difference.model: the experiment has no base model 'large'"),
        (difference(split="dev"), "claims.one.difference.split: dev is not evaluated (splits: [test])"),
        (difference(condition="swap@0.2"), "'swap@0.2' is not evaluated; did you mean 'swap@0.1'"),
        (difference(metric="exact_match"), "claims.one.difference.metric: udpos has no metric 'exact_match'"),
        (difference(languages=["en", "de"]), "claims.one.difference.languages: udpos is not evaluated in de"),
        ({"order": {"target": "udpos", "best": "mnli", "among": ["mnli"]}}, "there is no other regime to compare with"),
        ({"ratio": {"target": "udpos", "regime": "x", "condition": "swap@0.1", "below": 1}}, "no regime 'x'"),
    ],
)
def test_a_wrong_name_is_told_with_its_place(tmp_path: Path, claim: dict[str, Any], message: str) -> None:
    with pytest.raises(Problems) as caught:
        opened(tmp_path, claim)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("claim", "count"),
    [
        (difference(), 2 * 2 * 3),
        (difference(languages="transfer"), 2 * 2 * 2),
        (difference(target=["udpos", "xquad"]), 2 * 2 * 6),
        (difference(condition="swap@0.1"), 2 * 2 * 3),
        ({"ratio": {"target": "udpos", "regime": "mnli", "condition": "swap@0.1", "below": 1}}, 2 * 6),
        # The base model's retrieval is the same for all seeds.
        (difference(target="tatoeba"), (1 + 2) * 2),
    ],
)
def test_a_claim_rests_on_the_evaluations_of_its_scope(tmp_path: Path, claim: dict[str, Any], count: int) -> None:
    session = opened(tmp_path, claim)
    (found,) = claims_of(session.experiment)
    assert len(evidence(session.expansion, found)) == count


def test_claims_change_no_key(tmp_path: Path) -> None:
    with_claims = opened(tmp_path, difference())
    without = opened(tmp_path, difference(), claims={})
    assert list(with_claims.expansion.graph.nodes) == list(without.expansion.graph.nodes)
