"""Write the corpus in the layouts of the real data sets, so that the readers of these can read it."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from stilts.data.sources.generated import corpus, tasks
from stilts.data.sources.generated.grammar import sentence, text
from stilts.data.sources.generated.languages import ENGLISH, Language, invent
from stilts.experiment.data import Generate

VERSION = 1
"""Version of the corpus. It is raised when the code generates other files from the same declaration."""

T = TypeVar("T")


def generate(decl: Generate, folder: Path) -> None:
    """Write the corpus: `xtreme/` and `labels/` in the layout of XTREME's scripts, `mlm/LG.txt`, and `hellaswag/`.

    With `sentences: n`, there are n lines of raw text per language (n / 2 for English), 3n / 8 training examples per
    task, n / 40 dev and test examples per language, and 3n / 80 sentence pairs per language for retrieval. Test files
    contain no gold labels.

    Args:
        decl: the number of languages, the number of sentences, and the seed.
        folder: output folder, which is created if it does not exist.

    Raises:
        StiltsError: there are more languages than private-use codes.
    """
    languages = [ENGLISH, *invent(decl.languages, decl.seed)]
    train, evaluation = max(6, decl.sentences * 3 // 8), max(3, decl.sentences // 40)

    def rng(name: str) -> random.Random:
        return random.Random(f"{VERSION} {decl.seed} {name}")

    for language in languages:
        count = decl.sentences // 2 if language.english else decl.sentences
        lines = (corpus.line(source, language) for source in [rng(f"mlm {language.code}")] for _ in range(count))
        _write(folder / f"mlm/{language.code}.txt", lines)
    _write_xnli(folder, languages, rng("xnli"), train, evaluation)
    _write_udpos(folder, languages, rng("udpos"), train, evaluation)
    _write_xquad(folder, languages, rng("xquad"), train, evaluation)
    for language in languages[1:]:
        _write_tatoeba(folder, language, rng(f"tatoeba {language.code}"), max(4, decl.sentences * 3 // 80))
    _write_hellaswag(folder, rng("hellaswag"), train // 2, evaluation)


def _write_xnli(folder: Path, languages: list[Language], rng: random.Random, train: int, evaluation: int) -> None:
    def pairs(held_out: bool) -> Iterator[tasks.Inference]:
        labels = tasks.LABELS
        return _distinct(lambda n: tasks.inference(rng, labels[n % 3], held_out), lambda pair: pair.said(ENGLISH)[0])

    def rows(pairs: Iterable[tasks.Inference], language: Language) -> list[str]:
        return ["\t".join((*pair.said(language), pair.label)) for pair in pairs]

    _write(folder / "xtreme/xnli/train-en.tsv", rows(islice(pairs(False), train), ENGLISH))
    source = pairs(True)
    dev, test = list(islice(source, evaluation)), list(islice(source, evaluation))
    for language in languages:
        code = language.code
        _write(folder / f"xtreme/xnli/dev-{code}.tsv", rows(dev, language))
        _write(folder / f"xtreme/xnli/test-{code}.tsv", ["\t".join(pair.said(language)) for pair in test])
        _write(folder / f"labels/xnli/test-{code}.tsv", [pair.label for pair in test])


def _write_udpos(folder: Path, languages: list[Language], rng: random.Random, train: int, evaluation: int) -> None:
    def lines(sentences: Iterable[tasks.Said], language: Language, *columns: int) -> Iterator[str]:
        for said in sentences:
            yield from ("\t".join(word[column] for column in columns) for word in said(language))
            yield ""

    def sentences(held_out: bool) -> Iterator[tasks.Said]:
        return _distinct(lambda n: tasks.tagged(rng, held_out), lambda said: text(said(ENGLISH)))

    _write(folder / "xtreme/udpos/train-en.tsv", lines(islice(sentences(False), train), ENGLISH, 0, 1))
    source = sentences(True)
    dev, test = list(islice(source, evaluation)), list(islice(source, evaluation))
    for language in languages:
        code = language.code
        _write(folder / f"xtreme/udpos/dev-{code}.tsv", lines(dev, language, 0, 1))
        _write(folder / f"xtreme/udpos/test-{code}.tsv", lines(test, language, 0))
        _write(folder / f"labels/udpos/test-{code}.tsv", lines(test, language, 1))


def _write_xquad(folder: Path, languages: list[Language], rng: random.Random, train: int, evaluation: int) -> None:
    def questions(held_out: bool) -> Iterator[tasks.Question]:
        return _distinct(lambda n: tasks.question(rng, held_out), lambda asked: asked.said(ENGLISH)["context"])

    source = questions(True)
    _write_squad(folder / "xtreme/squad/train-v1.1.json", "train", islice(questions(False), train), ENGLISH)
    _write_squad(folder / "xtreme/squad/dev-v1.1.json", "dev", islice(source, evaluation), ENGLISH)
    test = list(islice(source, evaluation))
    for language in languages:
        _write_squad(folder / f"xtreme/xquad/xquad.{language.code}.json", "test", test, language, blank=True)
        _write_squad(folder / f"labels/xquad/test-{language.code}.json", "test", test, language)


def _write_squad(
    path: Path, split: str, questions: Iterable[tasks.Question], language: Language, blank: bool = False
) -> None:
    data = []
    for number, question in enumerate(questions):
        said = question.said(language)
        answer = {"answer_start": 0 if blank else said["start"], "text": "" if blank else said["text"]}
        qas = [{"answers": [answer], "question": said["question"], "id": f"{split}-{number}"}]
        data.append({"title": f"{split}-{number}", "paragraphs": [{"context": said["context"], "qas": qas}]})
    _write(path, [_json({"version": "1.1", "data": data})])


def _write_tatoeba(folder: Path, language: Language, rng: random.Random, count: int) -> None:
    source = _distinct(lambda n: tasks.translatable(rng), lambda clause: text(sentence(clause, ENGLISH)))
    pairs = [[text(sentence(clause, one)) for one in (language, ENGLISH)] for clause in islice(source, count)]
    gold = sorted(range(count), key=lambda i: pairs[i][1])
    stem = f"xtreme/tatoeba/{language.code}-en"
    _write(folder / f"{stem}.{language.code}", [foreign for foreign, _ in pairs])
    _write(folder / f"{stem}.en", [pairs[i][1] for i in gold])
    _write(folder / f"labels/tatoeba/test-{language.code}.tsv", map(str, gold))


def _write_hellaswag(folder: Path, rng: random.Random, train: int, evaluation: int) -> None:
    for split, count in (("train", train), ("val", evaluation)):
        rows = (tasks.continuation(rng, ind, split == "val") for ind in range(count))
        _write(folder / f"hellaswag/hellaswag_{split}.jsonl", map(_json, rows))


def _distinct(make: Callable[[int], T], english: Callable[[T], str]) -> Iterator[T]:
    """Yield make(0), make(1), ...; repeat a call if the English text of its result occurred before."""
    seen: set[str] = set()
    number = 0
    while True:
        made = make(number)
        if english(made) not in seen:
            seen.add(english(made))
            number += 1
            yield made


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
