"""Canonical examples: the Arrow schema of each family, to which every file format is converted.

A row without gold (in blanked test files) has `label` -1, or an empty list in `tags`, `heads`, `answers` or `keys`.
"""

import pyarrow as pa

CLASSIFICATION = pa.schema(
    [("id", pa.string()), ("text_a", pa.string()), ("text_b", pa.string()), ("label", pa.int32())]
)
"""A sentence pair; `label` indexes the task's labels."""

LABELLED_TEXTS = pa.schema(
    [("id", pa.string()), ("text_a", pa.string()), ("text_b", pa.string()), ("label", pa.string())]
)
"""A text, or a pair of texts, with the name of its label; `text_b` is empty in every row if there is one text, and
`label` where there is no gold."""

SCORED_TEXTS = pa.schema(
    [("id", pa.string()), ("text_a", pa.string()), ("text_b", pa.string()), ("score", pa.float64())]
)
"""A text, or a pair of texts, with a number; `text_b` is empty in every row if there is one text, and `score` is NaN
where there is no gold."""

TEXTS_WITH_LABELS = pa.schema(
    [("id", pa.string()), ("text_a", pa.string()), ("text_b", pa.string()), ("labels", pa.list_(pa.string()))]
)
"""A text, or a pair of texts, with any number of labels. An empty list says that no label applies, null that there
is no gold."""

MULTIPLE_CHOICE = pa.schema(
    [("id", pa.string()), ("text_a", pa.string()), ("choices", pa.list_(pa.string())), ("label", pa.int32())]
)
"""A context and its candidate continuations; `label` indexes `choices`."""

TAGGING = pa.schema([("id", pa.string()), ("tokens", pa.list_(pa.string())), ("tags", pa.list_(pa.string()))])
"""The words of a sentence and one tag per word."""

FRAMES = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("tags", pa.list_(pa.string())),
        ("label", pa.string()),
    ]
)
"""The words of a text with one tag per word, and the label of the text; empty where there is no gold."""

PARSING = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("heads", pa.list_(pa.int32())),
        ("relations", pa.list_(pa.string())),
    ]
)
"""A sentence's dependency tree: the number of each word's head, counted from 1 (0: the root), and the relation."""

PROPOSITIONS = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("predicate", pa.int32()),
        ("tags", pa.list_(pa.string())),
    ]
)
"""A proposition: a sentence, the position (from 0) of one predicate, and the predicate's arguments as BIO tags."""

ANSWER = pa.struct([("text", pa.string()), ("start", pa.int32())])
SPAN_QA = pa.schema(
    [("id", pa.string()), ("context", pa.string()), ("question", pa.string()), ("answers", pa.list_(ANSWER))]
)
"""A question on a context; `start` is a character (code point) offset into `context`."""

MLM = pa.schema([("id", pa.string()), ("text", pa.string())])
"""Raw sentences."""

RETRIEVAL = pa.schema(
    [("side", pa.string()), ("id", pa.string()), ("text", pa.string()), ("gold", pa.list_(pa.string()))]
)
"""Two sides of a corpus in one table: `side` is `en` or `foreign`; `gold` on a row of the searching side lists the
ids of its translations on the other side (BUCC: foreign rows list English ids; Tatoeba: English rows list the line
number, from 0, of the foreign file)."""

RANKING = pa.schema(
    [
        ("id", pa.string()),
        ("query", pa.string()),
        ("candidate", pa.string()),
        ("text", pa.string()),
        ("context", pa.string()),
        ("keys", pa.list_(pa.string())),
        ("language", pa.string()),
    ]
)
"""A query with its `id`, a text with its id `candidate`, or a pair of both, which can be trained on. The columns of the
part that a row lacks are empty. `context` is the text around `text`, if any. A text is right for a query if they share
a key. `language` is the language of the text where one table holds several languages, and empty elsewhere."""

GRADED_RANKING = RANKING.append(pa.field("grades", pa.list_(pa.int32())))
"""As RANKING. The keys of a query are the names of its relevant candidates, with one grade above 0 for each in
`grades`; the only key of a text is its own name."""
