"""Joint labelling: an intent for an utterance and slots for its words."""

from pathlib import Path

import pytest
import torch
from seqeval.metrics import f1_score
from transformers import PreTrainedTokenizerFast

from stilts.data.labels import with_labels
from stilts.data.sources.files import get_format
from stilts.errors import StiltsError
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.families.words import NO_LABEL
from stilts.tasks.score import main_number, score
from stilts.train.features import Features
from stilts.train.heads import head_of
from stilts.train.heads.joint import OTHER
from tests.tasks.families.learning import WORDS, declared, learn, table_of

TASK = "mine: {family: joint, languages: [en, de-ba]}"
XSID = """# id: 1
# intent: weather/find
1\tRegnts\tweather/find\tB-weather/attribute
2\theint\tweather/find\tB-datetime
3\t?\tweather/find\tO

# id: 2
# intent: alarm/set
1\tWecker\talarm/set\tO
"""


def rows() -> list[dict[str, object]]:
    """The first word tells the intent; one word is always a place."""
    found = []
    for n in range(24):
        tokens = [WORDS[n % 2], WORDS[4 + n % 5], WORDS[10], WORDS[11]] if n % 3 else [WORDS[n % 2], WORDS[4 + n % 5]]
        tags = ["O", "O", "B-place", "I-place"][: len(tokens)]
        found.append({"tokens": tokens, "tags": tags, "label": ["ask", "set"][n % 2]})
    return found


def test_a_model_learns_both(tmp_path: Path) -> None:
    task = declared(TASK)
    learned = learn(task, table_of(task, rows()), tmp_path)
    assert learned.losses[1] < 0.5 * learned.losses[0]
    assert learned.found.metrics is not None
    assert set(learned.found.metrics) == {"slot_f1", "intent_accuracy", "exact_match"}
    assert min(learned.found.metrics.values()) > 90


def test_scores_by_hand_and_as_seqeval() -> None:
    task = declared(TASK)
    gold = [["intent:a", "O", "B-x", "I-x"], ["intent:b", "B-y"], ["intent:a", "O"], ["intent:b", "B-x", "B-y"]]
    found = [["intent:a", "O", "B-x", "I-x"], ["intent:a", "B-y"], ["intent:a", "B-y"], ["intent:b", "B-x", "I-x"]]
    scores = score(task, "en", found, gold)
    assert scores["intent_accuracy"] == 75
    assert scores["exact_match"] == 25
    assert scores["slot_f1"] == pytest.approx(100 * f1_score([x[1:] for x in gold], [x[1:] for x in found]))
    assert main_number(task, scores) == (scores["slot_f1"] + scores["intent_accuracy"]) / 2


def test_files_of_xsid(tmp_path: Path) -> None:
    task = declared(TASK)
    path = tmp_path / "de-ba.conll"
    path.write_text(XSID)
    table = get_format(task).read([path], task, "de-ba")
    assert table.to_pylist() == [
        {"id": "0", "tokens": ["Regnts", "heint", "?"], "tags": ["B-weather/attribute", "B-datetime", "O"],
         "label": "weather/find"},
        {"id": "1", "tokens": ["Wecker"], "tags": ["O"], "label": "alarm/set"},
    ]  # fmt: skip
    labels = ("B-datetime", "B-weather/attribute", "O", "intent:alarm/set", "intent:weather/find")
    assert with_labels(task, [table]).labels == labels
    path.write_text("1\ta\n2\tb\n")
    bare = get_format(task).read([path], task, "de-ba")
    assert bare.to_pylist() == [{"id": "0", "tokens": ["a", "b"], "tags": [], "label": ""}]
    assert not get_family("joint").has_gold(bare).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ta\tx\n", "conll:1: 3 columns, expected 4"),
        ("1\ta\tx\tO\n2\tb\ty\tO\n", "conll:2: the intent 'y' is another"),
        ("1\ta\tx\tO\n\n1\tb\tz\tO\n", "row 3, column label: label 'z' is not one of x, y"),
        ("1\t \tx\tO\n", "conll:1: the word is empty"),
        ("# nothing\n", "no utterances"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    task = declared("mine: {family: joint, labels: [O, B-a, 'intent:x', 'intent:y']}")
    (tmp_path / "a.conll").write_text(text)
    with pytest.raises(StiltsError, match=message):
        get_format(task).read([tmp_path / "a.conll"], task, "en")


def test_features_read_the_class_token_and_the_first_subword_of_each_word(tokenizer: PreTrainedTokenizerFast) -> None:
    task = declared("mine: {family: joint, labels: [B-x, 'intent:a', O, 'intent:b']}")
    table = table_of(task, [{"tokens": ["Paris", "in", "1991"], "tags": ["B-x", "O", "O"], "label": "b"},
                            {"tokens": ["in"], "tags": [], "label": ""}])  # fmt: skip
    encoded = get_family("joint").encode(table, tokenizer, task, Lengths(32), False)
    first, _ = encoded["positions"].to_pylist()
    assert first[:2] == [0, 1]
    assert len(first) == 4
    assert encoded["classes"].to_pylist() == [[1, 2, 3, 3], [NO_LABEL, NO_LABEL]]
    assert len(get_family("joint").encode(table, tokenizer, task, Lengths(32), True)) == 1
    short = get_family("joint").encode(table, tokenizer, task, Lengths(6), True)
    assert len(short) > 1
    assert [row[0] for row in short["classes"].to_pylist()] == [1] * len(short)
    assert sum(len(row) - 1 for row in short["classes"].to_pylist()) == 3


def test_the_loss_of_a_text_is_that_of_its_label_plus_the_mean_of_its_tags(tokenizer: PreTrainedTokenizerFast) -> None:
    task = declared("mine: {family: joint, labels: [B-x, 'intent:a', O, 'intent:b']}")
    table = table_of(task, [{"tokens": ["Paris", "in"], "tags": ["B-x", "O"], "label": "b"}])
    features = Features.of(get_family("joint").encode(table, tokenizer, task, Lengths(32), True), "joint")
    head = head_of("joint")
    targets = {name: torch.from_numpy(value) for name, value in head.targets(features).items()}
    logits = torch.tensor([[0.0, 1.0, OTHER, OTHER], [OTHER, OTHER, 2.0, 0.0], [OTHER, OTHER, 0.5, 0.0]])
    intent = -torch.log_softmax(torch.tensor([0.0, 1.0]), 0)[1]
    tags = [-torch.log_softmax(torch.tensor([2.0, 0.0]), 0)[0], -torch.log_softmax(torch.tensor([0.5, 0.0]), 0)[1]]
    assert float(head.loss_sum(logits, targets)) == pytest.approx(float(intent + sum(tags) / 2))
    assert features.units == 1
