"""The table of all file formats by name, and the reader of raw text.

A user may point a task at any file of its format (`data.tasks.NAME.train: PATH/{lang}.tsv`). A reader takes the files
of one split and language and returns the canonical table of the task's family. A merger adds the gold labels of a
separate file to a table without labels, as XTREME's test files need it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources import (
    beir,
    bitexts,
    choices,
    conllu,
    frames,
    lareqa,
    mewslix,
    pairs,
    plain_pairs,
    propositions,
    squad,
    supertags,
    table,
    tags,
    texts,
)
from stilts.data.sources.text import ReadAll, each_file, read_lines, to_table
from stilts.discovery import tracked
from stilts.errors import StiltsError, nearest
from stilts.tasks.base import Task
from stilts.tasks.schema import MLM


@dataclass(frozen=True)
class Format:
    """How one kind of file is read.

    Attributes:
        read: reads the files of one split and language, in order, into one canonical table.
        merge: adds the gold labels of a file in the labels folder; None if the format has no such files.
        translated: reads machine-translated files; None if `read` does. It leaves damaged rows out.
        candidates: reads the candidates of a ranking task from files by language. A single file for all languages has
            the key `mul`.
        languages: returns the languages in a file, for formats whose files hold several; None: a file whose path has
            no `{lang}` is English.
        beside: returns the path of a second file from which the reader takes gold labels if it lies beside the first.
        gold: where the reader looks for gold labels, for the message that there are none.
        from_hub: converts the columns that `Family.from_hub` returns to canonical examples of one language; None if
            they are canonical examples already.
    """

    read: Callable[[Sequence[Path], Task, str], pa.Table]
    merge: Callable[[pa.Table, Path, Task], pa.Table] | None = None
    translated: ReadAll | None = None
    candidates: Callable[[Mapping[str, Path], Task], pa.Table] | None = None
    languages: Callable[[Path], frozenset[str]] | None = None
    beside: Callable[[Path], Path] | None = None
    gold: str = ""
    from_hub: Callable[[Path, Mapping[str, list[Any]], str], pa.Table] | None = None

    def reader(self, split: str) -> ReadAll:
        """Return the reader of a split's files."""
        return self.translated if split == "translated" and self.translated is not None else self.read


@each_file
def read_sentences(path: Path, task: Task, language: str) -> pa.Table:
    """Read raw text, one sentence a line. Blank lines are skipped. The id of a sentence is its line number from 0."""
    kept = [(i, line.strip()) for i, line in enumerate(read_lines(path)) if line.strip()]
    return to_table(path, {"id": [str(i) for i, _ in kept], "text": [line for _, line in kept]}, MLM)


FORMATS: dict[str, Format] = tracked(
    {
        "nli": Format(pairs.read_nli, plain_pairs.merge_labels, gold=pairs.LABEL_PLACES),
        "qqp": Format(pairs.read_qqp, gold=pairs.LABEL_PLACES),
        "pairs": Format(plain_pairs.read_pairs, plain_pairs.merge_labels, gold="a third column"),
        "tags": Format(tags.read_tags, tags.merge_tags),
        "squad": Format(squad.read_squad, squad.merge_answers, squad.read_translated_squad),
        "supertags": Format(supertags.read_supertags),
        "bucc": Format(bitexts.read_bucc, bitexts.merge_pairs),
        "tatoeba": Format(bitexts.read_tatoeba, bitexts.merge_lines),
        "hellaswag": Format(choices.read_hellaswag, gold="label"),
        "cosmosqa": Format(choices.read_cosmosqa, gold="label"),
        "csqa": Format(choices.read_csqa, gold="answerKey"),
        "siqa": Format(choices.read_siqa, beside=choices.siqa_labels, gold="correct or label"),
        "copa": Format(choices.read_copa, choices.merge_choices, gold="label"),
        "squad_pairs": Format(
            lareqa.read_squad_pairs, translated=lareqa.read_translated_squad_pairs, from_hub=lareqa.question_table
        ),
        "xquad_r": Format(lareqa.read_xquad_r, candidates=lareqa.read_xquad_r_candidates),
        "mention_pairs": Format(mewslix.read_mention_pairs),
        "mentions": Format(
            mewslix.read_mentions,
            mewslix.merge_entities,
            candidates=mewslix.read_entities,
            languages=mewslix.mention_languages,
        ),
        "text": Format(read_sentences),
        "conllu": Format(conllu.read_conllu),
        "propositions": Format(propositions.read_propositions),
        "frames": Format(frames.read_frames, gold="the intent and the tag of each word"),
        "beir": Format(beir.read_judgements, candidates=beir.read_corpora, beside=beir.queries_beside),
        "conll": Format(tags.read_conll, gold="the last column"),
        "texts": Format(texts.read_texts, gold="a second column"),
        "table": Format(table.read_columns, gold="the column of the labels"),
    }
)


def get_format(task: Task) -> Format:
    """The format of a task's files.

    Raises:
        StiltsError: the task declares a format that does not exist.
    """
    if task.files not in FORMATS:
        raise StiltsError(
            f"task {task.name}: no file format {task.files!r} in data/sources/files.py; "
            f"{nearest(str(task.files), FORMATS)}"
        )
    return FORMATS[task.files]
