"""Raw text, and the table of all file formats by name.

A user may point a task at any file of its format (`data.tasks.NAME.train: PATH/{lang}.tsv`). XTREME's own formats are
in `xtreme.py`; those of other data sets in `pairs.py`, `choices.py`, `lareqa.py`, `mewslix.py`, `supertags.py`,
`conllu.py` and `propositions.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources import choices, conllu, lareqa, mewslix, pairs, propositions, supertags, xtreme
from stilts.data.sources.text import ReadAll, each_file, read_lines, to_table
from stilts.errors import StiltsError, nearest
from stilts.tasks.base import Task
from stilts.tasks.schema import MLM


@dataclass(frozen=True)
class Format:
    """How one kind of file is read.

    Attributes:
        read: the files of one split and language, in order, as one canonical table.
        merge: adds the gold of a labels folder; None where there is no such gold.
        translated: reads what a machine translated, where it is laxer with it than `read`.
        candidates: reads what a ranking searches, from files by language (one without `{lang}` stands under `mul`).
        languages: of which a file holds examples, where one file is of several; None: a file without `{lang}` in its
            path is English.
        beside: the path of a second file that the reader takes gold from, where it exists beside the first.
        gold: where the reader looks for gold, for the message that there is none.
        from_hub: makes canonical examples of the columns that `Family.from_hub` returns, in one language; None if they
            are canonical examples already.
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
        """What reads the files of a split."""
        return self.translated if split == "translated" and self.translated is not None else self.read


@each_file
def read_sentences(path: Path, task: Task, language: str) -> pa.Table:
    """Raw text, one sentence a line; blank lines are skipped; an id is the line number from 0."""
    kept = [(i, line.strip()) for i, line in enumerate(read_lines(path)) if line.strip()]
    return to_table(path, {"id": [str(i) for i, _ in kept], "text": [line for _, line in kept]}, MLM)


FORMATS: dict[str, Format] = {
    "nli": Format(pairs.read_nli, xtreme.merge_labels, gold=pairs.LABEL_PLACES),
    "qqp": Format(pairs.read_qqp, gold=pairs.LABEL_PLACES),
    "pairs": Format(xtreme.read_pairs, xtreme.merge_labels, gold="a third column"),
    "tags": Format(xtreme.read_tags, xtreme.merge_tags),
    "squad": Format(xtreme.read_squad, xtreme.merge_answers, xtreme.read_translated_squad),
    "supertags": Format(supertags.read_supertags),
    "bucc": Format(xtreme.read_bucc, xtreme.merge_pairs),
    "tatoeba": Format(xtreme.read_tatoeba, xtreme.merge_lines),
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
}


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
