"""XTREME's prediction folder, for the intermediate that is best for each target on dev data.

Invariants: the choice never looks at a test score; one seed supplies all languages of a target; a file is either what
XTREME's evaluate.py reads for these examples, or nothing is written; what is not there is listed in manifest.json.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.collect.aggregate import TARGETS, spread
from stilts.collect.table import CellSource, ReadEvaluation, ReadStage, main_value
from stilts.errors import Problems, StiltsError, nearest
from stilts.evaluate.xtreme import XTREME
from stilts.spec.stage import EvaluationSpec
from stilts.store.local import LocalStore
from stilts.tasks.base import Task, get_task

SCHEMA = 1
MANIFEST = "manifest.json"
SPLIT = "test"
STAND_IN = {"tatoeba": "bucc2018"}
"""Tatoeba has no dev data; BUCC's stands in for it: both search with the encoder as it is."""

ReadPredictions = Callable[[str, EvaluationSpec], bytes | None]
"""(stage NAME, evaluation) -> its prediction file in XTREME's form, None where there is none."""

ReadExamples = Callable[[EvaluationSpec], pa.Table]
"""evaluation -> the canonical examples that it predicts."""

DevScore = Callable[[CellSource], float | None]


def write_submission(
    out: Path,
    cells: Sequence[CellSource],
    read_stage: ReadStage,
    read_evaluation: ReadEvaluation,
    read_predictions: ReadPredictions,
    read_examples: ReadExamples,
    model: str | None = None,
    intermediates: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write `TASK/test-LG.tsv|json` and manifest.json; an earlier submission in `out` is replaced as a whole.

    Args:
        model: which base model, where the cells have several.
        intermediates: target -> regime, for targets whose choice is not left to dev data.

    Returns:
        The manifest: per target the regime, seed and stage, how they were chosen, dev scores of every regime,
        languages; what is missing, and why.

    Raises:
        Problems: prediction files that do not fit their examples.
        StiltsError: the model is ambiguous or unknown, there is nothing to submit, or `out` holds something else.
    """
    _check_free(out)
    cells = _of_model(cells, model)
    _check_given(cells, intermediates or {})
    dev = _dev_scores(cells, read_stage, read_evaluation)
    manifest: dict[str, Any] = {"schema": SCHEMA, "model": cells[0].model, "targets": {}, "missing": {}}
    files: dict[str, bytes] = {}
    problems: list[str] = []
    for target in TARGETS:
        of_target = [cell for cell in cells if cell.target == target]
        choice = _choose(target, of_target, dev, (intermediates or {}).get(target))
        if isinstance(choice, str):
            manifest["missing"][target] = choice
            continue
        cell, how = choice
        found = _target_files(cell, read_predictions, read_examples, problems)
        if not found:
            manifest["missing"][target] = f"no predictions of {cell.stage}"
            continue
        files |= {f"{target}/{SPLIT}-{language}{_suffix(target)}": content for language, content in found.items()}
        manifest["targets"][target] = {
            **how,
            "languages": sorted(found),
            "missing_languages": XTREME.missing(target, found),
        }
    if problems:
        raise Problems(problems)
    if not files:
        reasons = "\n".join(f"  - {target}: {reason}" for target, reason in manifest["missing"].items())
        raise StiltsError(f"nothing to submit:\n{reasons}")
    _write_folder(out, {**files, MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"})
    return manifest


# --- what is chosen


def _of_model(cells: Sequence[CellSource], model: str | None) -> list[CellSource]:
    models = list(dict.fromkeys(cell.model for cell in cells))
    if not models:
        raise StiltsError("nothing to submit: the experiment has no cells")
    if model is None and len(models) > 1:
        raise StiltsError(f"a submission is of one model; give --model, one of: {', '.join(models)}")
    chosen = model if model is not None else models[0]
    if chosen not in models:
        raise StiltsError(f"unknown model {chosen!r}; {nearest(chosen, models)}")
    return [cell for cell in cells if cell.model == chosen]


def _check_given(cells: Sequence[CellSource], given: Mapping[str, str]) -> None:
    problems = []
    for target, regime in given.items():
        regimes = {cell.intermediate for cell in cells if cell.target == target}
        if target not in TARGETS:
            problems.append(f"--intermediate {target}={regime}: unknown target; {nearest(target, TARGETS)}")
        elif regime not in regimes:
            hint = nearest(regime, regimes) if regimes else f"the experiment does not evaluate {target}"
            problems.append(f"--intermediate {target}={regime}: unknown regime; {hint}")
    if problems:
        raise Problems(problems)


def _dev_scores(cells: Sequence[CellSource], read_stage: ReadStage, read_evaluation: ReadEvaluation) -> DevScore:
    by_cell = {(cell.target, cell.intermediate, cell.seed): cell for cell in cells}

    def score(cell: CellSource) -> float | None:
        task = get_task(cell.target)
        if task.train_on is not None:
            record = read_stage(cell.stage)
            return (record.get("dev") or {}).get("score") if record else None
        stand_in = by_cell.get((STAND_IN.get(cell.target, ""), cell.intermediate, cell.seed))
        return _evaluated_dev(task, cell, read_evaluation) if stand_in is None else score(stand_in)

    return score


def _evaluated_dev(task: Task, cell: CellSource, read_evaluation: ReadEvaluation) -> float | None:
    """Mean over languages of the main number on dev: an evaluation of its own, or what the threshold was tuned to."""
    by_language: dict[str, float | None] = {spec.language: None for spec in cell.evaluations}
    for spec in cell.evaluations:
        record = read_evaluation(cell.stage, spec)
        if record is not None:
            metrics = record["metrics"] if spec.split == "dev" else record["extra"].get("dev")
            value = main_value(task, metrics or {})
            by_language[spec.language] = by_language[spec.language] if value is None else value
    values = [value for value in by_language.values() if value is not None]
    return sum(values) / len(values) if values and len(values) == len(by_language) else None


def _choose(
    target: str, cells: Sequence[CellSource], dev: DevScore, given: str | None
) -> tuple[CellSource, dict[str, Any]] | str:
    """The cell to submit and how it was chosen, or why there is none."""
    if not cells:
        return "not a target of the experiment"
    scores = {(cell.intermediate, cell.seed): dev(cell) for cell in cells}
    candidates: dict[str, dict[str, Any]] = {}
    for regime in dict.fromkeys(cell.intermediate for cell in cells):
        seeds = [value for (name, _), value in scores.items() if name == regime]
        found = spread([value for value in seeds if value is not None])
        candidates[regime] = {
            "dev": None if found is None else found.mean,
            "n": 0 if found is None else found.n,
            "planned": len(seeds),
        }
    scored = {regime: entry["dev"] for regime, entry in candidates.items() if entry["dev"] is not None}
    if given is None and not scored:
        return f"no dev score to choose an intermediate by; give --intermediate {target}=NAME"
    regime = given if given is not None else max(scored, key=lambda name: scored[name])
    # The first of equals wins: regimes and seeds stand in the experiment's order.
    cell = max(
        (cell for cell in cells if cell.intermediate == regime),
        key=lambda cell: _or_least(scores[regime, cell.seed]),
    )
    return cell, {
        "intermediate": regime,
        "seed": cell.seed,
        "stage": cell.stage,
        "chosen_by": "given" if given is not None else f"dev of {STAND_IN.get(target, target)}",
        "dev": scores[regime, cell.seed],
        "candidates": candidates,
    }


def _or_least(score: float | None) -> float:
    return float("-inf") if score is None else score


# --- the files


def _target_files(
    cell: CellSource, read_predictions: ReadPredictions, read_examples: ReadExamples, problems: list[str]
) -> dict[str, bytes]:
    """Prediction files by language; mistakes in them are appended to `problems`."""
    task = get_task(cell.target)
    files = {}
    for spec in cell.evaluations:
        content = read_predictions(cell.stage, spec) if spec.split == SPLIT else None
        if content is None:
            continue
        files[spec.language] = content
        where = f"{cell.target}/{SPLIT}-{spec.language}{_suffix(cell.target)} ({cell.stage})"
        problems += [f"{where}: {problem}" for problem in check_predictions(task, content, read_examples(spec))]
    return files


def _suffix(target: str) -> str:
    return ".json" if get_task(target).family == "span_qa" else ".tsv"


def check_predictions(task: Task, content: bytes, examples: pa.Table) -> list[str]:
    """What is wrong with a prediction file for these canonical examples; at most one message a kind of mistake."""
    try:
        text = content.decode()
        return _CHECKS[task.name if task.family == "retrieval" else task.family](task, text, examples)
    except ValueError as error:
        return [f"cannot be read: {error}"]


def _check_labels(task: Task, text: str, examples: pa.Table) -> list[str]:
    lines = _lines(text)
    return _count("lines", len(lines), len(examples)) or _unknown(task, lines)


def _check_tags(task: Task, text: str, examples: pa.Table) -> list[str]:
    sentences = [sentence.split("\n") for sentence in text.strip("\n").split("\n\n")]
    words = pc.list_value_length(examples["tokens"]).to_pylist()
    wrong = [i for i, (tags, n) in enumerate(zip(sentences, words, strict=False)) if len(tags) != n]
    problems = _count("sentences", len(sentences), len(words))
    if wrong and not problems:
        i = wrong[0]
        problems.append(f"sentence {i + 1} has {len(sentences[i])} tags for {words[i]} words")
    return problems or _unknown(task, [tag for tags in sentences for tag in tags])


def _check_answers(task: Task, text: str, examples: pa.Table) -> list[str]:
    answers = json.loads(text)
    if not isinstance(answers, dict) or not all(isinstance(answer, str) for answer in answers.values()):
        return ["is not an object of id and answer text"]
    ids = set(examples["id"].to_pylist())
    lacking, foreign = sorted(ids - answers.keys()), sorted(answers.keys() - ids)
    return [
        *([f"{len(lacking)} questions have no answer, first {lacking[0]}"] if lacking else []),
        *([f"{len(foreign)} ids are no questions, first {foreign[0]}"] if foreign else []),
    ]


def _check_pairs(task: Task, text: str, examples: pa.Table) -> list[str]:
    english, foreign = (set(_side(examples, side)["id"].to_pylist()) for side in ("en", "foreign"))
    for i, line in enumerate(_lines(text), start=1):
        pair = line.split("\t")
        if len(pair) != 2 or pair[0] not in foreign or pair[1] not in english:
            return [f"line {i} is not a foreign id, a tab and an English id of these examples: {line[:80]!r}"]
    return []


def _check_indices(task: Task, text: str, examples: pa.Table) -> list[str]:
    lines, foreign = _lines(text), len(_side(examples, "foreign"))
    wrong = [i for i, line in enumerate(lines) if not (line.isdecimal() and int(line) < foreign)]
    problems = _count("lines", len(lines), len(_side(examples, "en")))
    if wrong:
        problems.append(f"line {wrong[0] + 1} is not a line number from 0 to {foreign - 1}: {lines[wrong[0]][:80]!r}")
    return problems


_CHECKS: dict[str, Callable[[Task, str, pa.Table], list[str]]] = {
    "classification": _check_labels,
    "tagging": _check_tags,
    "span_qa": _check_answers,
    "bucc2018": _check_pairs,
    "tatoeba": _check_indices,
}


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _side(examples: pa.Table, side: str) -> pa.Table:
    return examples.filter(pc.equal(examples["side"], side))


def _count(what: str, found: int, expected: int) -> list[str]:
    return [] if found == expected else [f"{found} {what} for {expected} examples"]


def _unknown(task: Task, labels: Sequence[str]) -> list[str]:
    unknown = [label for label in labels if label not in task.labels]
    return [f"{unknown[0]!r} is no label of {task.name}"] if unknown else []


def _check_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise StiltsError(f"{out} is a file; give a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise StiltsError(f"{out} holds something else than a submission; give an empty or a new folder")


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in files.items():
            path = Path(temporary) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        out = out.absolute()
        LocalStore(out.parent).put_tree(Path(temporary), out.name)
