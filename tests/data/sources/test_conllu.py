"""CoNLL-U files."""

from pathlib import Path

import pytest

from stilts.data.sources.conllu import read_conllu
from stilts.errors import Problems
from stilts.tasks.base import get_task

TASK = get_task("udparse")


def write(tmp_path: Path, *rows: str) -> list[Path]:
    """Columns are parted by spaces here; an empty row ends a sentence."""
    path = tmp_path / "f.conllu"
    path.write_text("\n".join(row if row.startswith("#") else "\t".join(row.split()) for row in rows) + "\n")
    return [path]


def test_words_heads_and_universal_relations(tmp_path: Path):
    files = write(
        tmp_path,
        "# newdoc id = d",
        "# sent_id = s-1",
        "# text = Isto é do João",
        "1 Isto este PRON _ _ 3 nsubj _ _",
        "2-3 do _ _ _ _ _ _ _ SpaceAfter=No",
        "2 de de ADP _ _ 3 case _ _",
        "3 o João PROPN _ _ 0 root _ _",
        "3.1 é ser AUX _ _ _ _ 3:cop _",
        "4 seu seu DET _ _ 3 nmod:poss _ _",
        "",
        "",
        "1 Sim sim INTJ _ _ 0 root _ _",
    )
    assert read_conllu(files, TASK, "pt").to_pylist() == [
        {
            "id": "s-1",
            "tokens": ["Isto", "de", "o", "seu"],
            "heads": [3, 3, 0, 3],
            "relations": ["nsubj", "case", "root", "nmod"],
        },
        {"id": "12", "tokens": ["Sim"], "heads": [0], "relations": ["root"]},
    ]


def test_a_blanked_file_has_no_gold(tmp_path: Path):
    table = read_conllu(write(tmp_path, "1 Sim _ _ _ _ _ _ _ _", "2 ! _ _ _ _ _ _ _ _", ""), TASK, "pt")
    assert table.to_pylist() == [{"id": "1", "tokens": ["Sim", "!"], "heads": [], "relations": []}]


def test_words_may_hold_spaces_and_lines_end_in_crlf(tmp_path: Path):
    path = tmp_path / "f.conllu"
    path.write_bytes(b"1\t10 000\t_\tNUM\t_\t_\t0\troot\t_\t_\r\n\r\n")
    assert read_conllu([path], TASK, "fr")["tokens"].to_pylist() == [["10 000"]]


def test_mistakes_are_told_by_line(tmp_path: Path):
    files = write(
        tmp_path,
        "1 a _ _ _ _ 0 root _ _",
        "3 b _ _ _ _ 1 det _ _",
        "",
        "1 a _ _ _ _ 0 root _",
        "",
        "x a _ _ _ _ 0 root _ _",
        "",
        "1 a _ _ _ _ 2 root _ _",
        "",
        "1 a _ _ _ _ 0 root _ _",
        "2 b _ _ _ _ _ _ _ _",
    )
    with pytest.raises(Problems) as caught:
        read_conllu(files, TASK, "en")
    assert [message.split("f.conllu:")[1] for message in caught.value.messages] == [
        "2: word number 3, expected 2",
        "4: 9 columns, expected 10, separated by tabs",
        "6: 'x' is no word number; expected 1, 2 ... or 1-2, 1.1",
        "8: HEAD '2' is no word of a sentence of 1 word, nor 0",
        "11: HEAD '_' is no word of a sentence of 2 words, nor 0",
    ]


def test_comments_alone_are_no_sentences(tmp_path: Path):
    with pytest.raises(Problems, match=r"f\.conllu:1: no sentence in it"):
        read_conllu(write(tmp_path, "# text = nothing", ""), TASK, "en")


def test_a_file_that_declares_other_columns(tmp_path: Path):
    files = write(tmp_path, "# global.columns = ID FORM HEAD", "1 Sim 0", "")
    with pytest.raises(Problems, match=r"f\.conllu:2: no column DEPREL; the file declares ID, FORM, HEAD"):
        read_conllu(files, TASK, "pt")


def test_real_files(xtreme_mini: Path):
    folder = xtreme_mini / "intermediate" / "ud_ewt"
    tables = [read_conllu([folder / f"en_ewt-ud-{split}.conllu"], TASK, "en") for split in ("train", "dev")]
    assert [table.num_rows for table in tables] == [2001, 600]
    for row in (row for table in tables for row in table.to_pylist()):
        assert len(row["tokens"]) == len(row["heads"]) == len(row["relations"]) > 0
        assert set(row["relations"]) <= set(TASK.labels)
