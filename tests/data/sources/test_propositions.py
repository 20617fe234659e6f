"""PropBank's propositions in each of their layouts."""

from pathlib import Path

import pytest

from stilts.data.sources.propositions import read_propositions
from stilts.errors import Problems
from stilts.tasks.base import get_task
from stilts.tasks.families import get_family

TASK = get_task("srl")

CONLL_2012 = """\
#begin document (bc/cctv/00/cctv_0000); part 000
bc/cctv/00/cctv_0000 0 0 Who   WP  (TOP(SBARQ(WHNP*) -     - - A *      (ARG0*)   * (12)
bc/cctv/00/cctv_0000 0 1 came  VBD (SQ(VP*           come 01 1 A *      (V*)      * -
bc/cctv/00/cctv_0000 0 2 to    TO  (PP*              -     - - A *      (ARG4*    * -
bc/cctv/00/cctv_0000 0 3 see   VB  (VP*              see  01 1 A *      *         (V*) -
bc/cctv/00/cctv_0000 0 4 Hong  NNP (NP*              -     - - A (GPE*  *         (ARG1* (3
bc/cctv/00/cctv_0000 0 5 Kong  NNP *)))              -     - - A *)     *)        *) 3)
bc/cctv/00/cctv_0000 0 6 ?     .   *))               -     - - A *      *         * -

bc/cctv/00/cctv_0000 0 0 Yes   UH  (TOP(INTJ*))      -     - - B *      -

#end document
"""

# Universal PropBank 1.0: flag, name, and a column for each predicate; a relative clause hangs on the argument.
UP_1 = """\
# sent_id = dev-s6/de
1 Dieser dieser PRON _ _ 2 det _ _ _ _
2 Bäcker Bäcker NOUN _ _ 3 nsubj _ _ A0 _
3 hat haben VERB _ _ 0 root Y have.03 _ _
4 super super ADJ _ _ 5 amod _ _ _ _
5 Brötchen Brötchen NOUN _ _ 3 obj _ _ A1 A1
6 , , PUNCT _ _ 5 punct _ _ _ _
7 die der PRON _ _ 9 obj _ _ _ R-A1
8 man man PRON _ _ 9 nsubj _ _ _ A0
9 empfiehlt empfehlen VERB _ _ 5 acl Y recommend.01 _ _
10-11 im _ _ _ _ _ _ _ _
10 in in ADP _ _ 12 case _ _ _ _
11 dem der DET _ _ 12 det _ _ _ _
12 Ort Ort NOUN _ _ 9 obl _ _ _ AM-LOC
13 . . PUNCT _ _ 3 punct _ _ _ _

# sent_id = dev-s7/de
1 Super super ADJ _ _ 0 root _ _
"""

UP_1_ENGLISH = """\
# sent_id = weblog-2
1 Bush Bush PROPN NNP _ 3 nsubj 3:nsubj Framefile=-|Roleset=-|Args=ARG0/_
2 also also ADV RB _ 3 advmod _ Framefile=-|Roleset=-|Args=ARGM-DIS/_
3 nominated nominate VERB VBD _ 0 root _ Framefile=nominate|Roleset=nominate.01|Args=V/_
4 two two NUM CD _ 5 nummod _ Framefile=-|Roleset=-|Args=_/_
5 people person NOUN NNS _ 3 obj _ SpaceAfter=No|Framefile=-|Roleset=-|Args=ARG1/ARG0
6 to to PART TO _ 7 mark _ Framefile=-|Roleset=-|Args=_/_
7 replace replace VERB VB _ 3 advcl _ Framefile=replace|Roleset=replace.01|Args=ARG2/V
8 judges judge NOUN NNS _ 7 obj _ Framefile=-|Roleset=-|Args=_/ARG1

1 *** *** PUNCT NFP _ 0 root _ Tree=(TOP(X*))|Framefile=-|Roleset=-|Args=
"""

UP_2 = """\
# global.columns = ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC UP:PRED UP:ARGHEADS UP:ARGSPANS
# sent_id = de-1
1 Ich ich PRON PPER _ 2 nsubj _ _ _ _ _
2 hatte haben VERB VAFIN _ 0 root _ _ have.03 A0:1|A1:3 A0:1-1|A1:3-3
3 Gelegenheit Gelegenheit NOUN NN _ 2 obj _ _ _ _ _
4 eines ein DET PIS _ 6 det _ _ _ _ _
5 seiner sein DET PPOSAT _ 6 det:poss _ _ _ _ _
6 Seminare Seminar NOUN NN _ 8 obj _ _ _ _ _
7 zu zu PART PTKZU _ 8 mark _ _ _ _ _
8 besuchen besuchen VERB VVINF _ 3 xcomp _ _ attend.01 A0:1|A1:4 A0:1-1|A1:4-6|AM-ADV:6-9
9 . . PUNCT $. _ 2 punct _ _ nothing.01 _ _
"""


def write(tmp_path: Path, text: str, tabs: bool = True) -> list[Path]:
    path = tmp_path / "f.conllu"
    lines = (line if line.startswith("#") or not tabs else "\t".join(line.split()) for line in text.split("\n"))
    path.write_text("\n".join(lines), encoding="utf-8")
    return [path]


def spans(tags: list[str]) -> str:
    """Tags in short: only those that are not O, with their word number from 1."""
    return " ".join(f"{i}:{tag}" for i, tag in enumerate(tags, 1) if tag != "O")


def rows(files: list[Path]) -> list[tuple[str, int, str]]:
    table = read_propositions(files, TASK, "en")
    assert get_family("srl").validate(table, TASK) == []
    return [(row["id"], row["predicate"], spans(row["tags"])) for row in table.to_pylist()]


def test_conll_2012(tmp_path: Path):
    files = write(tmp_path, CONLL_2012, tabs=False)
    assert rows(files) == [
        ("bc/cctv/00/cctv_0000/0/2#1", 1, "1:B-ARG0 2:B-V 3:B-ARG4 4:I-ARG4 5:I-ARG4 6:I-ARG4"),
        ("bc/cctv/00/cctv_0000/0/2#2", 3, "4:B-V 5:B-ARG1 6:I-ARG1"),
    ]
    assert read_propositions(files, TASK, "en")["tokens"][0].as_py() == [
        "Who",
        "came",
        "to",
        "see",
        "Hong",
        "Kong",
        "?",
    ]


def test_up_1_spans_are_the_heads_own_words(tmp_path: Path):
    assert rows(write(tmp_path, UP_1)) == [
        # The relative clause belongs to the argument of the first verb ...
        (
            "dev-s6/de#1",
            2,
            "1:B-ARG0 2:I-ARG0 3:B-V " + " ".join(f"{i}:{'B' if i == 4 else 'I'}-ARG1" for i in range(4, 13)),
        ),
        # ... and is no part of it where its verb is the predicate.
        (
            "dev-s6/de#2",
            8,
            "4:B-ARG1 5:I-ARG1 6:I-ARG1 7:B-R-ARG1 8:B-ARG0 9:B-V 10:B-ARGM-LOC 11:I-ARGM-LOC 12:I-ARGM-LOC",
        ),
    ]


def test_up_1_english(tmp_path: Path):
    assert rows(write(tmp_path, UP_1_ENGLISH)) == [
        ("weblog-2#1", 2, "1:B-ARG0 2:B-ARGM-DIS 3:B-V 4:B-ARG1 5:I-ARG1 6:B-ARG2 7:I-ARG2 8:I-ARG2"),
        ("weblog-2#2", 6, "4:B-ARG0 5:I-ARG0 7:B-V 8:B-ARG1"),
    ]


UP_1_ENGLISH_PUBLISHED = """\
# sent_id = weblog-1
1 Bush Bush PROPN NNP _ 2 nsubj 2:nsubj _ _ ARG0 _
2 nominated nominate VERB VBD _ 0 root 0:root _ nominate.01 V _
3 people person NOUN NNS _ 2 obj 2:obj _ _ ARG1 ARG0
4 to to PART TO _ 5 mark 5:mark _ _ _ _
5 replace replace VERB VB _ 2 advcl 2:advcl _ replace.01 ARG2 V
6 judges judge NOUN NNS _ 5 obj 5:obj _ _ _ ARG1

# sent_id = weblog-2
1 *** *** PUNCT NFP _ 0 root 0:root _ _ @

# sent_id = weblog-3
1 People person NOUN NNS _ 2 nsubj 2:nsubj _ _ ARG0 @
2 make make VERB VBP _ 0 root 0:root _ make.LV _ @
3 mistakes mistake NOUN NNS _ 2 obj 2:obj _ mistake.02 ARG1 @

# sent_id = weblog-4
1 It it PRON PRP _ 2 nsubj 2:nsubj _ _ ARG1
2 rains rain VERB VBZ _ 0 root 0:root _ rain.01 _
"""
"""Rows may end in empty cells (@); a column may lack V, and a sentence may have fewer columns than predicates."""


def test_up_1_english_as_published(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    text = UP_1_ENGLISH_PUBLISHED.replace(" ", "\t").replace("#\tsent_id\t=\t", "# sent_id = ").replace("@", "")
    path = tmp_path / "up.conllu"
    path.write_text(text)
    assert rows([path]) == [
        ("weblog-1#1", 1, "1:B-ARG0 2:B-V 3:B-ARG1 4:B-ARG2 5:I-ARG2 6:I-ARG2"),
        ("weblog-1#2", 4, "3:B-ARG0 5:B-V 6:B-ARG1"),
        ("weblog-4#1", 1, "1:B-ARG1 2:B-V"),
    ]
    assert "1 of 4 rows are left out: they have no V" in caplog.text


def test_up_2_and_spans_that_overlap(tmp_path: Path):
    assert rows(write(tmp_path, UP_2)) == [
        ("de-1#1", 1, "1:B-ARG0 2:B-V 3:B-ARG1"),
        ("de-1#2", 7, "1:B-ARG0 4:B-ARG1 5:I-ARG1 6:I-ARG1 8:B-V"),
        ("de-1#3", 8, "9:B-V"),
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("A0", "ARG0"),
        ("AA", "ARGA"),
        ("AM-TMP", "ARGM-TMP"),
        ("R-A1", "R-ARG1"),
        ("C-AM-LOC", "C-ARGM-LOC"),
        ("ARG1-DSP", "ARG1"),
        ("C-ARG2", "C-ARG2"),
    ],
)
def test_roles_get_one_spelling(tmp_path: Path, written: str, expected: str):
    text = UP_1_ENGLISH.replace("ARGM-DIS", written)
    assert f"2:B-{expected} " in rows(write(tmp_path, text))[0][2]


@pytest.mark.parametrize(
    ("text", "role", "line"), [(CONLL_2012, "ARG4", 4), (UP_1, "AM-LOC", 14), (UP_1_ENGLISH, "ARGM-DIS", 3)]
)
def test_an_unknown_role_is_told_by_line(tmp_path: Path, text: str, role: str, line: int):
    files = write(tmp_path, text.replace(role, "ARG9"), tabs=text is not CONLL_2012)
    with pytest.raises(Problems, match=f":{line}: 'ARG9' is none of srl's roles"):
        read_propositions(files, TASK, "en")


@pytest.mark.parametrize(
    ("text", "tabs", "message"),
    [
        (CONLL_2012.replace("(V*)      * -", "*         * -"), False, r":2: predicate 1 has no \(V\*\)"),
        (CONLL_2012.replace("(ARG4*    *", "(ARG4     *"), False, r":4: '\(ARG4' is no part of a bracketed argument"),
        (CONLL_2012.replace("     * -\nbc", "     -\nbc", 1), False, r":3: 13 columns, expected 14"),
        (UP_1.replace("Y recommend.01", "_ _"), True, ":1: 1 predicate, but 2 columns of arguments"),
        (UP_1.replace("9 obl", "99 obl"), True, "HEAD '99' is no word"),
        (UP_2.replace("A1:3-3", "A1:3-33"), True, r":4: 'A1:3-33' is no span of 9 words"),
        (UP_2.replace("ID FORM", "ID WORD"), True, "no FORM column; merge the file with its treebank"),
        ("1 Super super ADJ _ _ 0 root _ _\n", True, "no predicate with arguments in it"),
    ],
)
def test_mistakes_are_told_by_line(tmp_path: Path, text: str, tabs: bool, message: str):
    with pytest.raises(Problems, match=message):
        read_propositions(write(tmp_path, text, tabs), TASK, "en")


def test_skeletons_without_words_say_how_to_get_them(tmp_path: Path):
    text = "\n".join(
        " ".join([*line.split()[:3], "[WORD]", *line.split()[4:]]) if line and line[0] != "#" else line
        for line in CONLL_2012.split("\n")
    )
    with pytest.raises(Problems, match="make the \\*_gold_conll files"):
        read_propositions(write(tmp_path, text, False), TASK, "en")


@pytest.mark.parametrize("split", ["train", "dev"])
def test_the_made_up_files_that_the_study_runs_on(split: str) -> None:
    mini = Path(__file__).resolve().parents[3] / "ray_jobs" / "mini"
    table = read_propositions([mini / f"roles-{split}.conll"], TASK, "en")
    assert get_family("srl").validate(table, TASK) == []
    assert {"B-ARG0", "B-ARG1", "I-ARG1"} <= {tag for tags in table["tags"].to_pylist() for tag in tags}
