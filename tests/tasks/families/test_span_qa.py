import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stilts.errors import StiltsError
from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.families.span_qa import best_spans

TASK = Task(
    name="questions",
    version=1,
    family="span_qa",
    languages=("en",),
    metric="f1",
    metrics=("exact_match", "f1"),
    train_on="questions",
)
FAMILY = get_family("span_qa")
LENGTHS = Lengths(48, stride=8, max_query_length=8)


def row(context: str, question: str, *answers: str) -> dict[str, Any]:
    spans = [{"text": text, "start": context.index(text)} for text in answers]
    return {"id": question, "context": context, "question": question, "answers": spans}


def table_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema.SPAN_QA)


TABLE = table_of(
    row("She moved to Paris in 1991 and has lived there ever since.", "When did she move?", "1991"),
    row("She moved to Paris in 1991 and has lived there ever since.", "Where?", "Paris"),
    row("北京大学成立于1898年，是中国近代第一所国立大学。", "北京大学成立于哪年?", "1898"),
    row("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "กรุงเทพ?", "เมืองหลวงของประเทศไทย"),
    row("It is 🙂🙂 in Paris near the river bank.", "Where is 🙂?", "Paris"),
)


def oracle(features: pa.Table) -> list[np.ndarray]:
    """One-hot outputs made of the features' targets; a window without the answer points at the first token."""
    outputs = []
    for ids, start, end in zip(
        features["input_ids"].to_pylist(), features["start"].to_pylist(), features["end"].to_pylist(), strict=True
    ):
        output = np.zeros((len(ids), 2), np.float32)
        output[start, 0] = output[end, 1] = 9
        outputs.append(output)
    return outputs


def decode(table: pa.Table, features: pa.Table, lengths: Lengths = LENGTHS) -> list[str]:
    return FAMILY.decode(table, features, oracle(features), TASK, lengths)


def read_squad(*paths: Path) -> pa.Table:
    rows = []
    for path in paths:
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    answers = [{"text": a["text"], "start": a["answer_start"]} for a in qa["answers"]]
                    rows.append(
                        {
                            "id": qa["id"],
                            "context": paragraph["context"],
                            "question": qa["question"],
                            "answers": answers,
                        }
                    )
    return table_of(*rows)


def test_rows_equal_the_tokenizers_own_pairs(any_tokenizer):
    features = FAMILY.encode(TABLE, any_tokenizer, TASK, Lengths(512), training=True)
    own = any_tokenizer(TABLE["question"].to_pylist(), TABLE["context"].to_pylist(), return_offsets_mapping=True)
    for name in set(any_tokenizer.model_input_names) - {"attention_mask"}:
        assert features[name].to_pylist() == own[name]
    for i in range(TABLE.num_rows):
        offsets = zip(features["offset_start"][i].as_py(), features["offset_end"][i].as_py(), strict=True)
        owners = own.sequence_ids(i)
        want = [pair if owner == 1 else (-1, -1) for owner, pair in zip(owners, own["offset_mapping"][i], strict=True)]
        assert list(offsets) == want


def test_windows_read_every_context_token_and_keep_their_length(any_tokenizer):
    table = table_of(row("one two three four five six " * 20, "Where is the river bank near Paris now?", "four"))
    question = any_tokenizer(table["question"].to_pylist()[0], add_special_tokens=False)["input_ids"][:8]
    context = any_tokenizer(table["context"].to_pylist()[0], add_special_tokens=False)["input_ids"]
    for stride in (1, 8, 1000, None):
        features = FAMILY.encode(table, any_tokenizer, TASK, Lengths(48, stride, 8), training=False)
        read: list[int] = []
        begin = 0
        for ids, starts in zip(features["input_ids"].to_pylist(), features["offset_start"].to_pylist(), strict=True):
            assert len(ids) <= 48
            assert ids[1 : 1 + len(question)] == question
            window = [token for token, start in zip(ids, starts, strict=True) if start >= 0]
            assert window == context[begin : begin + len(window)]
            read[begin:] = window
            begin += min(len(window), stride or len(window))
        assert read == context


def test_the_stride_is_the_distance_between_windows(tokenizer):
    features = FAMILY.encode(TABLE.slice(0, 1), tokenizer, TASK, Lengths(24, 5, 8), training=False)
    firsts = [next(s for s in starts if s >= 0) for starts in features["offset_start"].to_pylist()]
    context = tokenizer(TABLE["context"][0].as_py(), add_special_tokens=False, return_offsets_mapping=True)
    assert firsts == [context["offset_mapping"][5 * i][0] for i in range(len(firsts))]
    assert len(firsts) > 1


@pytest.mark.parametrize("lengths", [LENGTHS, Lengths(512)])
def test_answers_are_slices_of_the_context(tokenizer, lengths):
    features = FAMILY.encode(TABLE, tokenizer, TASK, lengths, training=True)
    golds = [texts[0] for texts in FAMILY.gold(TABLE, TASK)]
    for context, answer, gold in zip(
        TABLE["context"].to_pylist(), decode(TABLE, features, lengths), golds, strict=True
    ):
        assert gold in answer
        assert answer in context
        assert len(answer) <= len(gold) + 4  # a subword may begin before the answer or end after it


def test_the_pair_separators_do_not_shift_spans(any_tokenizer):
    features = FAMILY.encode(TABLE.slice(0, 2), any_tokenizer, TASK, Lengths(512), training=True)
    assert decode(TABLE.slice(0, 2), features) == ["1991", "Paris"]
    for ids, start, end in zip(
        features["input_ids"].to_pylist(), features["start"].to_pylist(), features["end"].to_pylist(), strict=True
    ):
        assert any_tokenizer.decode(ids[start : end + 1]).strip().lower() in ("1991", "paris")


def test_an_answer_outside_the_window_is_the_first_token(tokenizer):
    table = table_of(row("one two three four " * 20 + "Paris", "Where?", "Paris"))
    features = FAMILY.encode(table, tokenizer, TASK, LENGTHS, training=True)
    starts = features["start"].to_pylist()
    assert starts[0] == features["end"].to_pylist()[0] == 0
    assert starts[-1] > 0
    assert decode(table, features) == ["Paris"]


def test_best_span_obeys_order_length_and_context(tokenizer):
    table = TABLE.slice(0, 1)
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(512), training=False)
    starts = np.array(features["offset_start"][0].as_py())
    context = np.flatnonzero(starts >= 0)
    output = np.zeros((len(starts), 2), np.float32)
    output[1] = 99  # a question token
    output[context[9], 0], output[context[2], 1] = 10, 10  # ends before it starts
    output[context[8], 0], output[context[10], 1] = 5, 5
    text = table["context"][0].as_py()
    ends = features["offset_end"][0].as_py()
    [answer] = FAMILY.decode(table, features, [output], TASK, Lengths(512))
    assert answer == text[starts[context[9]] : ends[context[10]]].strip()
    [answer] = FAMILY.decode(table, features, [output], TASK, Lengths(512, max_answer_length=1))
    assert answer in (text[starts[i] : ends[i]].strip() for i in (context[9], context[2]))


@pytest.mark.parametrize("longest", [1, 3, 5, 30])
def test_an_answer_has_as_many_tokens_as_the_limit_and_no_more(tokenizer, longest):
    """The best span with a token more than the limit loses to the next best one, that with as many wins."""
    table = table_of(row("Paris is the city on the river Seine that she moved to in 1991 .", "Where?"))
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(512), training=False)
    starts, ends = np.array(features["offset_start"][0].as_py()), features["offset_end"][0].as_py()
    context = np.flatnonzero(starts >= 0)
    text = table["context"][0].as_py()

    def answer(length: int) -> str:
        """Decoded outputs whose best span has so many tokens, and whose second best is the last token alone."""
        output = np.zeros((len(starts), 2), np.float32)
        output[context[2], 0], output[context[2 + length - 1], 1] = 10, 10
        output[context[-1]] = 6
        [decoded] = FAMILY.decode(table, features, [output], TASK, Lengths(512, max_answer_length=longest))
        return decoded

    assert len(context) > longest + 3
    assert answer(longest) == text[starts[context[2]] : ends[context[2 + longest - 1]]].strip()
    assert answer(longest + 1) == text[starts[context[-1]] : ends[context[-1]]].strip()


def test_unanswerable_questions(tokenizer):
    table = table_of(row("She moved to Paris.", "Why?"), row("She moved to Paris.", "Where?", "Paris"))
    assert FAMILY.gold(table, TASK) == [[""], ["Paris"]]
    features = FAMILY.encode(table, tokenizer, TASK, LENGTHS, training=True)
    assert features["start"].to_pylist()[0] == 0
    assert FAMILY.decode(table, features, oracle(features), TASK, Lengths(48, null_threshold=0.0)) == ["", "Paris"]
    answers = best_spans(table, features, oracle(features), LENGTHS)
    assert [answer.null_margin for answer in answers] == [18, -18]


def test_blanked_files_have_no_gold_and_repeated_ids_stay_apart(tokenizer):
    blank = table_of(row("She moved to Paris.", "Why?"), row("She moved to Paris.", "Where?"))
    assert FAMILY.gold(blank, TASK) is None
    same = table_of(row("She moved to Paris.", "Where?", "Paris"), row("In 1991 she moved.", "Where?", "1991"))
    features = FAMILY.encode(same, tokenizer, TASK, LENGTHS, training=True)
    assert decode(same, features) == ["Paris", "1991"]


def test_a_length_without_room_is_refused(tokenizer):
    with pytest.raises(StiltsError, match="no room for the context beside questions"):
        FAMILY.encode(TABLE, tokenizer, TASK, Lengths(10, max_query_length=64), training=True)


def test_problems_name_their_rows():
    assert FAMILY.validate(TABLE, TASK) == []
    shifted = {**row("She moved to Paris.", "Where?"), "answers": [{"text": "Paris", "start": 12}]}
    assert FAMILY.validate(table_of(shifted, row(" ", "Why?")), TASK) == [
        "row 1: context is empty",
        "row 0: the answer 'Paris' is not at character 12 of the context, which has ' Pari'",
    ]


REAL = {
    "squad": "xtreme/squad/dev-v1.1.json",
    "tydiqa-en": "xtreme/tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json",
    "tydiqa-sw": "labels/tydiqa/test-sw.json",
    "xquad-tr": "labels/xquad/test-tr.json",
    "xquad-zh": "labels/xquad/test-zh.json",
    **{
        f"mlqa-{lang}": f"xtreme/mlqa/MLQA_V1/dev/dev-context-{lang}-question-{lang}.json"
        for lang in ("en", "de", "es", "hi", "vi", "zh")
    },
}


@pytest.mark.parametrize("name", REAL)
def test_oracle_is_perfect_on_real_questions(xtreme_mini, train_tokenizer, name):
    """With a token a character, no answer begins or ends inside a token: every one must come back exactly."""
    table = read_squad(xtreme_mini / REAL[name]).slice(0, 60)
    assert FAMILY.validate(table, TASK) == []
    tokenizer = train_tokenizer(table["context"].to_pylist(), 0)
    lengths = Lengths(384, 128, 64, max_answer_length=384)
    features = FAMILY.encode(table, tokenizer, TASK, lengths, training=False)
    golds = [texts[0].strip() for texts in FAMILY.gold(table, TASK)]
    decoded = decode(table, features, lengths)
    assert [(a, g) for a, g in zip(decoded, golds, strict=True) if a != g and len(g) < 200] == []
