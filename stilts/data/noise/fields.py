"""Fields: which columns of a family's examples noise changes.

- Classification: both texts.
- Multiple choice: the context and all choices.
- Question answering: context and question, the gold answers following the context; by scope `question` the question
  alone, so that scores compare with those on the clean context.
- Tagging, parsing, semantic roles: the tokens, as many as before and none empty; a sentence is perturbed as a whole.
- Retrieval: the sentences of the foreign side. English is the same in all languages and stays clean, so that what is
  measured is noise in the language that the score is for.
- Dual encoders: the queries. What is searched is a collection, which nobody types, and it is shared by the languages.

Thresholds (BUCC, SQuAD 2.0) are chosen on the clean dev set, as those of a system which meets noise unprepared.
"""

FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "classification": {"all": ("text_a", "text_b")},
    "multiple_choice": {"all": ("text_a", "choices")},
    "span_qa": {"all": ("context", "question"), "question": ("question",)},
    "tagging": {"all": ("tokens",)},
    "parsing": {"all": ("tokens",)},
    "srl": {"all": ("tokens",)},
    "retrieval": {"all": ("text",)},
    "dual_encoder": {"all": ("query",)},
}
"""Family -> scope -> columns."""

SCOPES = ("all", "question")
