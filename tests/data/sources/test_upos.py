"""Treebanks read as XTREME reads them."""

from pathlib import Path

import pytest

from stilts.data.prepare import Catalog
from stilts.data.sources.conllu import read_blocks
from stilts.data.sources.tags import read_tags
from stilts.data.sources.text import Report
from stilts.data.sources.upos import read_upos
from stilts.data.tables import read_table
from stilts.errors import Problems, StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.tasks.base import get_task

TASK = get_task("udpos")


def write(path: Path, *rows: str) -> Path:
    """Rows are `ID FORM UPOS HEAD`; `~` is a space in a form; an empty row ends a sentence."""
    lines = []
    for row in rows:
        id_, form, upos, head = (cell.replace("~", " ") for cell in row.split(" ")) if row else ("", "", "", "")
        lines.append("\t".join([id_, form, "_", upos, "_", "_", head, "_", "_", "_"]) if row else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]))
    return path


IM_HAUS = ("1-2 im _ _", "1 in ADP 3", "2 dem DET 3", "3 Haus NOUN 0", "")


def pairs(path: Path, language: str = "de") -> list[list[tuple[str, str]]]:
    rows = read_upos(path, TASK, language).to_pylist()
    return [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows]


def test_a_multiword_token_is_one_token_with_the_first_tag_of_the_order(tmp_path: Path) -> None:
    assert pairs(write(tmp_path / "f.conllu", *IM_HAUS)) == [[("im", "ADP"), ("Haus", "NOUN")]]


def test_a_multiword_token_has_the_tag_of_its_highest_word(tmp_path: Path) -> None:
    """`dámelo` is a verb with two pronouns below it; `can't` has its auxiliary beside `n't`."""
    verb = ("1-3 dámelo _ _", "1 da VERB 0", "2 me PRON 1", "3 lo PRON 1", "4 ya ADV 1", "")
    assert pairs(write(tmp_path / "f.conllu", *verb), "es") == [[("dámelo", "VERB"), ("ya", "ADV")]]
    low = ("1 x VERB 0", "2-3 yz _ _", "2 y DET 3", "3 z PART 1", "")
    assert pairs(write(tmp_path / "f.conllu", *low)) == [[("x", "VERB"), ("yz", "PART")]]


@pytest.mark.parametrize(("language", "tag"), [("it", "ADV"), ("fr", "PRON"), ("en", "PRON")])
def test_the_order_of_tags_depends_on_the_language(language: str, tag: str, tmp_path: Path) -> None:
    rows = ("1 a VERB 0", "2-3 bc _ _", "2 b PRON 1", "3 c ADV 1", "")
    assert pairs(write(tmp_path / "f.conllu", *rows), language)[0][1] == ("bc", tag)


def test_a_tag_outside_the_order_comes_last(tmp_path: Path) -> None:
    rows = ("1 a VERB 0", "2-3 bc _ _", "2 b CCONJ 1", "3 c ADV 1", "")
    assert pairs(write(tmp_path / "f.conllu", *rows), "fr")[0][1] == ("bc", "ADV")


def test_spaces_and_zero_width_non_joiners_are_removed(tmp_path: Path) -> None:
    rows = ("1 10~000 NUM 2", "2 می\u200cرود VERB 0", "")
    assert pairs(write(tmp_path / "f.conllu", *rows), "fa") == [[("10000", "NUM"), ("میرود", "VERB")]]


def test_a_file_without_trees_goes_by_the_order_alone(tmp_path: Path) -> None:
    rows = ("1-2 im _ _", "1 in ADP _", "2 dem DET _", "")
    assert pairs(write(tmp_path / "f.conllu", *rows)) == [[("im", "ADP")]]


def test_a_cycle_of_heads_ends(tmp_path: Path) -> None:
    rows = ("1-2 im _ _", "1 in ADP 2", "2 dem DET 1", "")
    assert pairs(write(tmp_path / "f.conllu", *rows)) == [[("im", "ADP")]]


def test_withheld_sentences_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also where one word is given, such as a number: XTREME's rule."""
    withheld = ("1 _ ADP 0", "2 _ NOUN 1", "3 ! PUNCT 1", "")
    path = write(tmp_path / "f.conllu", *IM_HAUS, *withheld, "1 _ NOUN 0", "", "1 _ X 0", "2 a X 1", "3 b X 1", "")
    assert [tokens for (tokens,) in ([row[0][0]] for row in pairs(path))] == ["im", "_"]
    assert "2 of 4 rows are left out: they have words that are withheld" in caplog.text


def test_a_treebank_without_its_words_is_refused_alone_and_passed_over_beside_others(tmp_path: Path) -> None:
    empty = write(tmp_path / "fr_ftb.conllu", "1 _ ADP 0", "2 _ NOUN 1", "")
    with pytest.raises(StiltsError, match=r"fr_ftb\.conllu: all of its sentences have words that are withheld"):
        read_tags([empty], TASK, "fr")
    other = write(tmp_path / "fr_gsd.conllu", "1 Oui INTJ 0", "")
    assert read_tags([empty, other], TASK, "fr")["tokens"].to_pylist() == [["Oui"]]


def test_an_unknown_tag_is_reported_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "f.conllu", *(row.replace("NOUN", "NN") for row in IM_HAUS))
    with pytest.raises(Problems, match=r"f\.conllu:4: UPOS 'NN' is not one of ADJ"):
        read_upos(path, TASK, "de")


def test_blanked_tags_are_no_gold(tmp_path: Path) -> None:
    table = read_upos(write(tmp_path / "f.conllu", "1 Oui _ _", ""), TASK, "fr")
    assert table.to_pylist() == [{"id": "1", "tokens": ["Oui"], "tags": []}]


def test_the_treebanks_of_a_release_are_chosen_by_a_pattern(tmp_path: Path) -> None:
    """Only the language itself: Ancient Greek's files begin with grc, Swiss German's with gsw."""
    release = tmp_path / "ud-treebanks-v2.5"
    write(release / "UD_German-PUD" / "de_pud-ud-test.conllu", "1 zwei NUM 0", "")
    write(release / "UD_German-GSD" / "de_gsd-ud-test.conllu", *IM_HAUS)
    write(release / "UD_German-GSD" / "de_gsd-ud-train.conllu", "1 nie ADV 0", "")
    write(release / "UD_Swiss_German-UZH" / "gsw_uzh-ud-test.conllu", "1 chli ADV 0", "")
    data = DataDecl(tasks={"udpos": TaskSource(test=f"{release}/*/{{lang}}_*-ud-test.conllu")})
    catalog = Catalog(data, tmp_path / "root")
    assert catalog.has(TASK, "test", "de")
    assert not catalog.has(TASK, "test", "el")
    ref = catalog.ref(TASK, "test", "de")
    assert read_table(catalog.root / ref.path)["tokens"].to_pylist() == [["im", "Haus"], ["zwei"]]
    with pytest.raises(StiltsError, match=r"\{?el_\*-ud-test\.conllu does not exist"):
        catalog.ref(TASK, "test", "el")


def test_tokens_equal_xtremes_in_real_files(xtreme_mini: Path) -> None:
    """English EWT of a later release, whose multiword tokens are new: its other sentences are the same."""
    folder = xtreme_mini / "intermediate" / "ud_ewt"
    files = [xtreme_mini / "xtreme" / "udpos" / f"{split}-en.tsv" for split in ("train", "dev")]
    official = {"".join(row["tokens"]): row["tokens"] for row in read_tags(files, TASK, "en").to_pylist()}
    same = 0
    for split in ("train", "dev"):
        path = folder / f"en_ewt-ud-{split}.conllu"
        plain = {sentence.id for _, sentence in read_blocks(path, Report(path)) if not sentence.fused}
        for row in read_upos(path, TASK, "en").to_pylist():
            text = "".join(row["tokens"])
            if row["id"] in plain and text in official:
                assert row["tokens"] == official[text]
                same += 1
    assert same > 500


@pytest.mark.parametrize(
    ("language", "token", "first", "second"),
    [
        ("de", "im", "ADP", "DET"),
        ("de", "zum", "ADP", "DET"),
        ("en", "it's", "PRON", "AUX"),
        ("en", "can't", "AUX", "PART"),
    ],
)
def test_fused_tokens_have_the_tags_of_xtremes_real_files(
    language: str, token: str, first: str, second: str, xtreme_mini: Path, tmp_path: Path
) -> None:
    """Both words hang on the third."""
    path = write(tmp_path / "f.conllu", f"1-2 {token} _ _", f"1 a {first} 3", f"2 b {second} 3", "3 c NOUN 0", "")
    split = "train" if language == "en" else "dev"
    official = read_tags([xtreme_mini / "xtreme" / "udpos" / f"{split}-{language}.tsv"], TASK, language).to_pylist()
    tags = {tag for row in official for word, tag in zip(row["tokens"], row["tags"], strict=True) if word == token}
    assert tags == {pairs(path, language)[0][0][1]}
