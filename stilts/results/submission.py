"""Writes a submission: XTREME's folder of prediction files, with the best intermediate for each target.

- The intermediate and the seed are chosen by dev scores, never by test scores. All languages of a target come from the
  same seed.
- Every prediction file is checked against its examples before anything is written, so that XTREME's evaluate.py can
  read all files of a folder. `manifest.json` lists what is missing.
- `OUT.zip`, next to the folder, holds the prediction files without the manifest. Equal files give an equal archive,
  byte by byte.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.errors import Problems, StiltsError, nearest
from stilts.evaluate.predictions import read_predictions as parse_predictions
from stilts.evaluate.predictions import suffix
from stilts.identity.stage import EvaluationSpec
from stilts.os_errors import TEMPORARY, explained
from stilts.results.aggregate import official_order
from stilts.results.choice import DevScores, best_cell, best_regime, candidates, dev_scores
from stilts.results.table import CellSource, ReadEvaluation
from stilts.storage.local import LocalStore
from stilts.tasks.base import Task, get_task
from stilts.tasks.benchmarks import XTREME, Benchmark
from stilts.tasks.families import get_family

SCHEMA = 1
MANIFEST = "manifest.json"
SPLIT = "test"
_FOLDER = "the folder of the submission"
"""What the folder is, in messages."""

ReadPredictions = Callable[[str, EvaluationSpec], bytes | None]
"""Function that reads a prediction file in XTREME's format, given the stage's NAME; None if there is no file."""

ReadExamples = Callable[[EvaluationSpec], pa.Table]
"""Function that reads the canonical examples of an evaluation."""


def write_submission(
    out: Path,
    cells: Sequence[CellSource],
    read_evaluation: ReadEvaluation,
    read_predictions: ReadPredictions,
    read_examples: ReadExamples,
    model: str | None = None,
    intermediates: Mapping[str, str] | None = None,
    benchmark: Benchmark = XTREME,
) -> dict[str, Any]:
    """Write `TASK/test-LG.tsv|json`, manifest.json and the archive. An earlier submission in `out` is replaced.

    Only predictions on data without noise are submitted, from models whose target stage was trained on English alone.

    Args:
        out: the folder to write.
        cells: the cells to choose from.
        model: the base model to submit; required if the cells have several.
        intermediates: target -> regime, for targets whose regime is not to be chosen by dev scores.

    Returns:
        The manifest: whether the submission is `complete`; for each of `targets`, the regime, seed and stage, how they
        were chosen, the dev scores of all regimes, and the languages with and without predictions; for each target in
        `missing`, the reason; for each of `files`, the number of examples, the size in bytes and the SHA-256 digest.

    Raises:
        Problems: prediction files do not match their examples.
        StiltsError: the model is ambiguous or unknown, there is nothing to submit, or `out` or the path of the archive
            holds something other than a submission.
    """
    _check_free(out)
    cells = _of_model(cells, model)
    given = intermediates or {}
    _check_given(cells, given)
    submission = _Submission(benchmark)
    official = [cell for cell in cells if cell.official]
    for target in official_order(benchmark):
        choice = _choose(target, official, dev_scores(target, official, read_evaluation), given.get(target))
        if isinstance(choice, str):
            submission.missing[target] = choice
        else:
            cell, how = choice
            submission.add(cell, how, _target_files(cell, read_predictions, read_examples, submission.problems))
    submission.check()
    manifest = submission.manifest(cells[0].model)
    archive_of(out).unlink(missing_ok=True)  # a crash must not leave an old archive next to the new folder
    content = json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"
    _write_folder(out, {**submission.files, MANIFEST: content})
    LocalStore(out.absolute().parent, _FOLDER).write(archive_of(out).name, _archive(submission.files))
    return manifest


@dataclass
class _Submission:
    """The parts of a submission, collected target by target.

    Attributes:
        targets: the manifest's entry of each target with predictions.
        missing: the reason for each target without any.
        files: content of the prediction files, by path below the folder.
        facts: the manifest's entry of each prediction file.
        problems: errors found in the prediction files.
    """

    benchmark: Benchmark
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, cell: CellSource, how: dict[str, Any], found: Mapping[str, tuple[bytes, int]]) -> None:
        """Add a target.

        Args:
            cell: the cell that was chosen for the target.
            how: how it was chosen.
            found: (content, number of examples) of each prediction file, by language.
        """
        if not found:
            self.missing[cell.target] = f"no predictions of {cell.stage}"
            return
        for language, (content, examples) in found.items():
            path = f"{cell.target}/{SPLIT}-{language}.{suffix(cell.target)}"
            self.files[path] = content
            digest = hashlib.sha256(content).hexdigest()
            self.facts[path] = {"examples": examples, "bytes": len(content), "sha256": digest}
        self.targets[cell.target] = {
            **how,
            "languages": sorted(found),
            "missing_languages": self.benchmark.missing(cell.target, found),
        }

    def check(self) -> None:
        """Raise if a prediction file has errors or there is none."""
        if self.problems:
            raise Problems(self.problems)
        if not self.files:
            reasons = "\n".join(f"  - {target}: {reason}" for target, reason in self.missing.items())
            raise StiltsError(f"nothing to submit:\n{reasons}")

    def manifest(self, model: str) -> dict[str, Any]:
        lacking = any(target["missing_languages"] for target in self.targets.values())
        return {
            "schema": SCHEMA,
            "benchmark": self.benchmark.reference,
            "complete": not self.missing and not lacking,
            "model": model,
            "targets": self.targets,
            "missing": self.missing,
            "files": self.facts,
        }


# --- the choice of model, regime and seed


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
        regimes = {cell.intermediate for cell in cells if cell.target == target and cell.official}
        if not regimes:
            known = {cell.target for cell in cells if cell.official}
            problems.append(f"{target} is no zero-shot target of the experiment; {nearest(target, known)}")
        elif regime not in regimes:
            problems.append(f"{target}: unknown intermediate {regime!r}; {nearest(regime, regimes)}")
    if problems:
        raise Problems(problems)


def _choose(
    target: str, cells: Sequence[CellSource], dev: DevScores, given: str | None
) -> tuple[CellSource, dict[str, Any]] | str:
    """The cell to submit and how it was chosen; if there is none, the reason as text."""
    of_target = [cell for cell in cells if cell.target == target]
    if not of_target:
        return "not a zero-shot target of the experiment"
    regimes = candidates(of_target, dev)
    regime = given if given is not None else best_regime(regimes)
    if regime is None:
        return "no dev score to choose an intermediate by; name one with --intermediate"
    cell = best_cell([cell for cell in of_target if cell.intermediate == regime], dev)
    return cell, {
        "intermediate": regime,
        "seed": cell.seed,
        "stage": cell.stage,
        "chosen_by": "given" if given is not None else dev.source,
        "dev": dev.of(cell),
        "regimes": {name: asdict(candidate) for name, candidate in regimes.items()},
    }


# --- the prediction files


def _target_files(
    cell: CellSource, read_predictions: ReadPredictions, read_examples: ReadExamples, problems: list[str]
) -> dict[str, tuple[bytes, int]]:
    """(content, number of examples) of each prediction file, by language. Appends errors in the files to `problems`."""
    task = get_task(cell.target)
    files = {}
    for spec in cell.evaluations:
        wanted = spec.split == SPLIT and spec.condition is None
        content = read_predictions(cell.stage, spec) if wanted else None
        if content is None:
            continue
        examples = read_examples(spec)
        files[spec.language] = content, len(examples)
        where = f"{cell.target}/{SPLIT}-{spec.language}.{suffix(cell.target)} ({cell.stage})"
        problems += [f"{where}: {problem}" for problem in check_predictions(task, content, examples)]
    return files


def check_predictions(task: Task, content: bytes, examples: pa.Table) -> list[str]:
    """Check a prediction file against the canonical examples and return a message for each error."""
    try:
        predictions = parse_predictions(task.name, content)
    except Problems as error:
        return error.messages
    return get_family(task.family).file(task).problems(predictions, examples)


# --- the folder and the archive


def _check_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise StiltsError(f"{out} is a file; give a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise StiltsError(f"{out} holds something else than a submission; give an empty or a new folder")
    if archive_of(out).exists() and not (out / MANIFEST).is_file():
        raise StiltsError(f"{archive_of(out)} is there, and no submission beside it; give another folder")


def archive_of(out: Path) -> Path:
    """The path of the archive that belongs to the folder of a submission."""
    return out.absolute().with_name(f"{out.absolute().name}.zip")


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A zip archive whose bytes depend on the files' names and contents alone."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name)  # its default date, 1980-01-01, is the same in every archive
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(info, files[name])
    return content.getvalue()


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        need = sum(map(len, files.values()))
        with explained("write", Path(temporary), what=TEMPORARY, need=need):
            for name, content in files.items():
                path = Path(temporary) / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
        out = out.absolute()
        LocalStore(out.parent, _FOLDER).put_tree(Path(temporary), out.name)
