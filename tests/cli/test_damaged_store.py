"""Commands that read a store in which one JSON file is not what was written."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stilts.ledger.record import stage_path, write_evaluation, write_failure, write_stage
from stilts.ledger.spending import Spending, write_spending
from stilts.plan.expand import Expansion
from stilts.session import Session
from tests.cli.conftest import Run

QUICK = (("plan",), ("status",), ("submission", "--out", "submitted"))
ANALYSING = (("collect",), ("report",))
"""Commands that take seconds each."""

WHOLE = (b"", b"null", b"[]", b"{}", b'"x"', b"1", b'{"schema": 1}', b"\xff", b"[" * 100_000, b'{"a":' * 100_000)
VALUES: tuple[Any, ...] = (None, [], {}, "x", 1, True, -1.5, [[]], {"a": 1})


@pytest.fixture
def finished(experiment: Path) -> Session:
    """Two regimes, of which one failed; everything else has the records that a run writes."""
    text = experiment.read_text().replace("intermediates: [none]", "intermediates: [none, mlm]")
    experiment.write_text(text.replace("seeds: [1]", "seeds: [1, 2]"))
    session = Session.open(experiment)
    session.prepare()
    session.declare()
    failed = [node.name for node in session.expansion.graph][-1]
    for node in session.expansion.graph:
        if node.name == failed:
            write_failure(session.store, failed, {"status": "failed", "error": "no memory", "time": 1.0, "attempt": 1})
            continue
        _finish(session, node.name, node.key, node.spec.payload(), trained=not node.is_base)
        for spec in node.evaluations.values():
            record = {"examples": 1, "labelled": True, "metrics": {"accuracy": 50.0}, "extra": {}}
            write_evaluation(session.store, node.name, spec, b"entailment\n", ".tsv", record)
    write_spending(session.store, "tiny", "first", Spending(1.0, 0.0, 1), "")
    return session


def _finish(session: Session, name: str, key: str, payload: dict[str, Any], trained: bool) -> None:
    made = Path(session.experiment.store).parent / "made"
    made.mkdir(exist_ok=True)
    (made / "model.safetensors").write_bytes(bytes(64))
    manifest = session.store.put_tree(made, f"{stage_path(name)}/weights")
    part = {"steps": 2, "examples": 4, "tokens": 40, "losses": [0.7, 0.6], "first": [0.8, 0.7]}
    facts = {
        "train": {
            "steps": 2, "examples": 4, "tokens": 40, "seconds": 1.5, "losses": [[1, 0.7], [2, 0.6]], "best_step": 2,
            "parts": {"xnli": part},
        },
        "dev": {
            "metric": "accuracy", "score": 50.0, "parts": {"xnli": 50.0}, "curve": [[2, 50.0]], "languages": None,
            "chance": {"xnli": {"score": 50.0, "examples": 2}},
        },
        "speed": {"kind": "cpu", "flops": 1e9},
    }  # fmt: skip
    record = {
        "key": key, "payload": payload, "weights": manifest, "weights_precision": "fp32", "runtime": {"ranks": 1},
        "versions": {"stilts": "0.1"}, "host": "node", "finished": "2026-01-01T00:00:00Z", **(facts if trained else {}),
    }  # fmt: skip
    write_stage(session.store, name, record)


def _places(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for name, value in items:
        yield from _places(value, (*path, name))


def _changed(content: bytes, place: tuple[Any, ...], value: Any) -> bytes:
    found = json.loads(content)
    at = found
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    return json.dumps(found).encode()


def _damages(content: bytes) -> list[bytes]:
    fields = [_changed(content, place, value) for place in _places(json.loads(content)) for value in VALUES]
    return [*WHOLE, content[: len(content) // 2], *fields]


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.json") if "weights" not in path.parts)


def _check(
    stilts: Run,
    experiment: Path,
    finished: Session,
    cases: list[tuple[Path, bytes]],
    chosen: tuple[tuple[str, ...], ...] = QUICK,
) -> None:
    stage = [node.name for node in finished.expansion.graph][1]
    commands = [
        *((name, experiment, *options) for name, *options in chosen),
        ("explain", stage, "-e", experiment),
        ("logs", stage, "-e", experiment),
        ("clean", "--store", experiment.parent / "store"),
    ]
    sound = experiment.parent / "sound"
    shutil.copytree(experiment.parent / "store", sound)
    for path, content in cases:
        path.write_bytes(content)
        for command in commands:
            code, _, err = stilts(*command)
            assert code in (0, 1), (path, content[:2000], command, err)
            assert "Traceback" not in err, (path, content[:2000], command, err)
            assert "Error:" not in err or code == 1, (path, content[:2000], command, err)
        shutil.rmtree(experiment.parent / "store")
        shutil.copytree(sound, experiment.parent / "store")


def test_commands_on_the_sound_store_succeed(stilts: Run, experiment: Path, finished: Session) -> None:
    for name in ("plan", "status"):
        code, out, err = stilts(name, experiment)
        assert code == 0, (name, err)
        assert "damaged" not in err
        assert "done" in out
    assert len(_files(experiment.parent / "store")) > 8


def test_damaged_files_end_no_command_as_a_defect(stilts: Run, experiment: Path, finished: Session) -> None:
    draw = random.Random(1)
    files = _files(experiment.parent / "store")
    chosen = draw.sample(files, 4)
    _check(stilts, experiment, finished, [(path, draw.choice(_damages(path.read_bytes()))) for path in chosen])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_damage_to_any_file_ends_a_command_as_a_defect(
    stilts: Run, experiment: Path, finished: Session, seed: int
) -> None:
    draw = random.Random(seed)
    files = _files(experiment.parent / "store")
    cases = [(path, draw.choice(_damages(path.read_bytes()))) for path in files]
    _check(stilts, experiment, finished, cases, (*QUICK, *ANALYSING))


def _dev_file(root: Path, expansion: Expansion, ending: str) -> Path:
    stage = next(node.name for node in expansion.graph if node.slug.endswith("mlm-xnli-s1"))
    return next((root / "stages" / stage / "evaluations" / "xnli").glob(f"dev-en*{ending}"))


@pytest.mark.parametrize(("ending", "content"), [(".tsv", None), (".record.json", None), (".record.json", b"{}")])
def test_a_lost_dev_evaluation_changes_no_choice_without_a_word(
    stilts: Run,
    experiment: Path,
    finished: Session,
    ending: str,
    content: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = _dev_file(experiment.parent / "store", finished.expansion, ending)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    stem = path.name.removesuffix(ending)
    stilts("submission", experiment, "--out", "submitted")
    assert "on dev data of trained stages are missing or damaged" in caplog.text
    assert stem in caplog.text
    assert "for xnli are chosen without their scores" in caplog.text
