"""Write the corpus: XTREME's download folder, its labels folder, and the other data sets' own files."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from stilts.data.sources.generated import corpus, tasks, world
from stilts.data.sources.generated.grammar import sentence, text
from stilts.data.sources.generated.languages import ENGLISH, Language, invent
from stilts.spec.data import Generate

VERSION = 1
"""Raised when the same declaration gives other files."""

TEXT_LINES = 4
"""Lines of raw text a language, as a multiple of `Generate.sentences`."""


def generate(decl: Generate, folder: Path) -> None:
    """Write `xtreme/`, `labels/`, `mlm/` and `hellaswag/` into a folder; the same declaration, the same bytes.

    A test set says the same things in every language.
    """
    languages = [ENGLISH, *invent(decl.languages, decl.seed)]
    writer = _Writer(folder, decl, languages)
    writer.pairs()
    writer.tags()
    writer.questions()
    writer.translations()
    writer.endings()
    writer.text()


class _Writer:
    def __init__(self, folder: Path, decl: Generate, languages: list[Language]) -> None:
        self.folder, self.languages, self.seed = folder, languages, decl.seed
        self.training, self.held_out = decl.sentences, max(30, decl.sentences // 10)

    def _rng(self, *what: str) -> random.Random:
        return random.Random(f"{self.seed}:{':'.join(what)}")

    def _write(self, path: str, lines: Iterable[str]) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _json(self, path: str, value: Any) -> None:
        self._write(path, [json.dumps(value, ensure_ascii=False)])

    def pairs(self) -> None:
        """xnli: balanced labels."""

        def draw(split: str, count: int) -> list[tasks.Inference]:
            rng = self._rng("xnli", split)
            made = _distinct(
                lambda i: tasks.inference(rng, tasks.LABELS[i % 3], split != "train"), count, lambda p: p.said(ENGLISH)
            )
            rng.shuffle(made)
            return made

        train = draw("train", self.training)
        self._write("xtreme/xnli/train-en.tsv", ("\t".join((*pair.said(ENGLISH), pair.label)) for pair in train))
        for split in ("dev", "test"):
            made = draw(split, self.held_out)
            for language in self.languages:
                said = ["\t".join(pair.said(language)) for pair in made]
                labelled = [f"{line}\t{pair.label}" for line, pair in zip(said, made, strict=True)]
                self._write(f"xtreme/xnli/{split}-{language.code}.tsv", labelled if split == "dev" else said)
                if split == "test":
                    self._write(f"labels/xnli/test-{language.code}.tsv", (pair.label for pair in made))

    def tags(self) -> None:
        """udpos."""
        rng = self._rng("udpos", "train")
        self._tagged("xtreme/udpos/train-en.tsv", [tasks.tagged(rng, False, ENGLISH) for _ in range(self.training)])
        for split in ("dev", "test"):
            for language in self.languages:
                rng = self._rng("udpos", split)
                made = [tasks.tagged(rng, True, language) for _ in range(self.held_out)]
                path = f"xtreme/udpos/{split}-{language.code}.tsv"
                self._tagged(path, made, tags=split == "dev")
                if split == "test":
                    lines = (line for words in made for line in (*(word.tag for word in words), ""))
                    self._write(f"labels/udpos/test-{language.code}.tsv", lines)

    def _tagged(self, path: str, sentences: list[list[Any]], tags: bool = True) -> None:
        def lines() -> Iterator[str]:
            for words in sentences:
                yield from (f"{word.text}\t{word.tag}" if tags else word.text for word in words)
                yield ""

        self._write(path, lines())

    def questions(self) -> None:
        """squad in English; xquad in every language, its answers blank."""

        def draw(split: str, count: int) -> list[tasks.Question]:
            rng = self._rng("squad", split)
            return [tasks.question(rng, split != "train") for _ in range(count)]

        self._json("xtreme/squad/train-v1.1.json", _squad(draw("train", self.training), ENGLISH, "train"))
        self._json("xtreme/squad/dev-v1.1.json", _squad(draw("dev", self.held_out), ENGLISH, "dev"))
        test = draw("test", self.held_out)
        for language in self.languages:
            self._json(f"xtreme/xquad/xquad.{language.code}.json", _squad(test, language, "test", blank=True))
            self._json(f"labels/xquad/test-{language.code}.json", _squad(test, language, "test"))

    def translations(self) -> None:
        """tatoeba: the English side sorted, so that lines do not match; the gold tells each its foreign line."""
        for language in self.languages[1:]:
            rng = self._rng("tatoeba", language.code)
            clauses = _distinct(
                lambda _, rng=rng: world.statement(rng, world.topic(rng), True),
                self.held_out,
                lambda clause: (text(sentence(clause, ENGLISH)),),
            )
            english = [text(sentence(clause, ENGLISH)) for clause in clauses]
            order = sorted(range(len(english)), key=lambda row: english[row])
            folder = f"xtreme/tatoeba/{language.code}-en"
            self._write(f"{folder}.{language.code}", (text(sentence(clause, language)) for clause in clauses))
            self._write(f"{folder}.en", (english[row] for row in order))
            self._write(f"labels/tatoeba/test-{language.code}.tsv", map(str, order))

    def endings(self) -> None:
        """hellaswag, in English."""
        for split, count in (("train", self.training // 2), ("val", self.held_out)):
            rng = self._rng("hellaswag", split)
            rows = (tasks.continuation(rng, ind, split == "val") for ind in range(count))
            self._write(f"hellaswag/{split}.jsonl", (json.dumps(row) for row in rows))

    def text(self) -> None:
        """mlm: raw text, half as much English, which the other languages' text holds as well."""
        for language in self.languages:
            rng = self._rng("mlm", language.code)
            count = TEXT_LINES * self.training // (2 if language.english else 1)
            self._write(f"mlm/{language.code}.txt", (corpus.line(rng, language) for _ in range(count)))


def _distinct(draw: Callable[[int], Any], count: int, key: Callable[[Any], tuple[str, ...]]) -> list[Any]:
    """`count` drawn things that read differently."""
    found: dict[tuple[str, ...], Any] = {}
    while len(found) < count:
        thing = draw(len(found))
        found.setdefault(key(thing), thing)
    return list(found.values())


def _squad(questions: list[tasks.Question], language: Language, split: str, blank: bool = False) -> dict[str, Any]:
    paragraphs = []
    for number, question in enumerate(questions):
        said = question.said(language)
        answer = {"text": "", "answer_start": 0} if blank else {"text": said["text"], "answer_start": said["start"]}
        row = {"id": f"{split}-{number}", "question": said["question"], "answers": [answer]}
        paragraphs.append({"context": said["context"], "qas": [row]})
    return {"version": "1.1", "data": [{"title": "generated", "paragraphs": paragraphs}]}
