"""Each check of the chaos test finds a planted violation, and the faults do what they say."""

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import cgroup, checks, database, disk, grid, report, stores, trace
from tests.chaos.checks import differences
from tests.chaos.nodes import clock_environment, leaked_files
from tests.chaos.scene import Command, Driver
from tests.chaos.stores import Local


def line(time: float, attempt: str, event: str, step: int | None = None, **facts: Any) -> dict[str, Any]:
    return {
        **{"time": time, "event": event, "attempt": attempt, "store": "s", "stage": "a", "pid": 1, "rank": 0},
        **{"step": step, "phase": None},
        **facts,
    }


def steps(attempt: str, begin: float, first: int, last: int) -> list[dict[str, Any]]:
    """An attempt that enters, and makes a step a second."""
    made = [line(begin + i, attempt, "report", step) for i, step in enumerate(range(first, last + 1))]
    return [line(begin, attempt, "enter"), *made]


def test_two_holders_at_a_time_are_seen() -> None:
    """Also where the first one was paused and makes a single step when it wakes up."""
    after_each_other = [*steps("one", 0, 1, 5), *steps("two", 10, 4, 9)]
    assert trace.overlaps(trace.attempts(after_each_other, "s")) == []
    for late in (12.0, 100.0):
        woken = [*after_each_other, line(late, "one", "report", 6)]
        [said] = trace.overlaps(trace.attempts(woken, "s"))
        assert "made steps [6]" in said
    between = [
        *steps("one", 0, 1, 5),
        *steps("two", 10, 4, 9),
        *steps("three", 30, 9, 10),
        line(31, "one", "report", 6),
    ]
    assert len(trace.overlaps(trace.attempts(between, "s"))) == 2


def test_evaluations_are_no_steps() -> None:
    lines = [*steps("one", 0, 1, 5), line(20, "one", "report", 1, phase="evaluating xnli/en"), *steps("two", 10, 4, 9)]
    assert trace.overlaps(trace.attempts(lines, "s")) == []


def _rewrite(record: Path) -> None:
    aside = record.with_name("aside")
    aside.write_bytes(record.read_bytes())
    aside.rename(record)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_rewrite, "written again, with the same content"),
        (lambda record: record.write_text("{}"), "written again, with other content"),
        (lambda record: record.unlink(), "was there and is gone"),
        (lambda record: os.utime(record.parent), None),
    ],
)
@pytest.mark.parametrize(
    "name", ["record.json", "evaluations/xnli/test-en-0.record.json", "evaluations/xnli/test-en-0.tsv"]
)
def test_harm_to_a_record_is_seen(tmp_path: Path, harm: Callable[[Path], None], said: str | None, name: str) -> None:
    store = Local(tmp_path / "store")
    stage = Path(store.uri) / "stages" / "a"
    (stage / "evaluations" / "xnli").mkdir(parents=True)
    for file in ("record.json", "evaluations/xnli/test-en-0.record.json", "evaluations/xnli/test-en-0.tsv"):
        (stage / file).write_text(file)
    with store.ledger() as ledger:
        ledger.look()
        harm(stage / name)
    assert list(ledger.records) == ["a"]
    assert bool(ledger.violations) == (said is not None), ledger.violations
    assert all(said is not None and said in violation for violation in ledger.violations)


def test_a_store_out_of_reach_is_no_harm(tmp_path: Path) -> None:
    store = Local(tmp_path / "store")
    (Path(store.uri) / "stages" / "a").mkdir(parents=True)
    (Path(store.uri) / "stages" / "a" / "record.json").write_text("{}")
    with store.ledger() as ledger:
        ledger.look()
        store.cut()
        assert not Path(store.uri).exists()
        ledger.look()
        store.mend()
    assert ledger.violations == []
    assert store.paths() == ["stages/a/record.json"]


def test_another_outcome_is_told() -> None:
    expected = grid.Result([{"value": 1.0}], "rate: 1", {"a": {"weights": 1}, "b": {}}, {"p": "1"}, ["b"], ["x", "y"])
    assert differences(expected, expected) == []
    found = grid.Result(
        [{"value": 1.0 + 1e-16}, {}], "rate: 2", {"a": {"weights": 2}}, {"p": "2", "q": "3"}, ["a"], ["x", "x"]
    )
    said = differences(expected, found)
    for part in (
        "stages: a differs",
        "stages: b is lost",
        "predictions: p differs",
        "predictions: q is not in",
        "the weights of a should be gone",
        "the weights of b are lost",
        "the final table differs",
        "the search's best recipe",
        "orphaned in the store: x",
        "missing in the store: y",
    ):
        assert sum(part in message for message in said) == 1, (part, said)
    assert len(said) == 10


def test_files_of_a_run_alone_are_no_difference() -> None:
    one = [
        "experiments/grid/0123456789ab.yaml",
        "stages/a/claims/1.json",
        "stages/a/record.json",
        "clean/claims/7.json",
    ]
    two = ["experiments/grid/ba9876543210.yaml", "stages/a/claims/3.json", "stages/a/record.json"]
    assert grid.usual(one) == grid.usual(two) == ["experiments/grid/*.yaml", "stages/a/record.json"]
    assert grid.usual([*two, "experiments/grid/aaaaaaaaaaaa.yaml"]) != grid.usual(two)


def test_a_bucket_has_the_files_of_a_folder() -> None:
    folder = ["stages/a/record.json", "stages/a/weights/x.json", "stages/a/weights/y", "data/b.arrow"]
    bucket = [
        *("stages/a/record.json", "stages/a/weights", "stages/a/weights.tree-0123/x.json"),
        *("stages/a/weights.tree-0123/y", "data/b.arrow", "data/b.arrow.tree-4567/b.arrow"),
    ]
    assert grid.usual(bucket) == grid.usual(folder) == sorted(folder)
    assert grid.usual([*bucket, "stages/a/weights.tree-89ab/y"]) == sorted([*folder, "stages/a/weights/y"])


def test_what_writers_left_behind_is_told() -> None:
    assert checks.residue(["stages/a/record.json", "stages/b/failure.json"]) == []
    for path in ("stages/a/resume.old/state", "stages/a/.aside-1", "stages/a/failure.json"):
        assert len(checks.residue(["stages/a/record.json", path])) == 1


def test_temporary_files_that_stay_are_told(tmp_path: Path) -> None:
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    (tmp_path / "ray").mkdir()
    assert leaked_files(tmp_path) == []
    (tmp_path / "stilts-work-1").mkdir()
    (tmp_path / "cache" / "weights" / "resume-1").mkdir()
    assert len(leaked_files(tmp_path)) == 2


def test_a_stage_trained_twice_is_told() -> None:
    lines = [*steps("one", 0, 1, 5), line(6, "one", "leave"), *steps("two", 10, 1, 5)]
    assert trace.twice(trace.attempts([*lines, line(16, "two", "leave", error="LeaseLost: x")], "s")) == []
    [said] = trace.twice(trace.attempts([*lines, line(16, "two", "leave")], "s"))
    assert "2 times" in said


def ended(tmp_path: Path, code: str, command: Command = "run", *, killed: bool = False) -> Driver:
    """A process that has ended, with its output in a file."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=subprocess.STDOUT)
    process.wait()
    return Driver(command, process, tmp_path / "log", killed)


@pytest.mark.parametrize(
    ("code", "killed", "said"),
    [
        ("", False, None),
        ("raise SystemExit(1)", False, "without a message"),
        ("raise SystemExit('error: the store is full')", False, None),
        ("raise SystemExit(70)", False, "exit status 70"),
        ("print('error: a defect of stilts')", False, "defect of stilts"),
        ("1 / 0", False, "Traceback"),
        ("import os; os.kill(os.getpid(), 9)", True, None),
        ("import os; os.kill(os.getpid(), 9)", False, "by signal 9"),
        ("import os; os.kill(os.getpid(), 6)", True, "by signal 6"),
    ],
)
def test_a_driver_that_ends_badly_is_told(tmp_path: Path, code: str, killed: bool, said: str | None) -> None:
    messages = checks.drivers([ended(tmp_path, code, killed=killed)])
    assert [said in message for message in messages if said] == ([True] if said else []), messages
    assert bool(messages) == (said is not None)


def test_a_fault_is_charged_with_what_was_done_again() -> None:
    lines = [*steps("one", 0, 1, 5), *steps("two", 10, 4, 9), line(16, "two", "leave")]
    log = [
        {"event": "begin", "bout": "b", "store": "s", "time": 0},
        {"event": "fault", "bout": "b", "kind": "rank", "time": 4.5, "during": {"one": 5}},
        {"event": "death", "bout": "b", "attempt": "one", "time": 4.6},
        {"event": "end", "bout": "b", "seconds": 20, "problems": []},
    ]
    cost = report.costs(log, lines)["rank"]
    assert (cost.count, cost.ended) == (1, 1)
    assert cost.redone == [2.0]  # steps 4 and 5
    assert cost.recovery == [12.0 - 4.5]  # until step 6
    text = report.report_text(log, lines)
    assert "| rank | 1 | 1 | 2.0 / 2.0 | 7.5 / 7.5 |" in text
    assert "1 faults, 2.0 s of work repeated" in text


# --- faults do what they say -------------------------------------------------------------------------------


@pytest.mark.skipif(disk.unavailable() is not None, reason=str(disk.unavailable()))
def test_a_disk_is_full_and_read_only(tmp_path: Path) -> None:
    with disk.Disk(tmp_path, 4) as small:
        store = Local(tmp_path / "store", small)
        file = Path(store.uri) / "file"
        small.fill()
        with pytest.raises(OSError, match="No space left"):
            file.write_bytes(b"x" * 10_000)
        small.empty()
        file.write_bytes(b"x" * 10_000)
        store.read_only(random.Random())
        with pytest.raises(OSError, match="Read-only"):
            file.write_bytes(b"")
        store.mend()
        assert file.read_bytes() == b"x" * 10_000
        file.write_bytes(b"")
    assert not file.exists()


@pytest.mark.skipif(cgroup.unavailable() is not None, reason=str(cgroup.unavailable()))
def test_a_hog_takes_memory_and_stays_below_the_limit() -> None:
    group = cgroup.Group("test")
    hog = group.hog()
    deadline = time.monotonic() + 60
    while group.used < cgroup.LIMIT * cgroup.THRESHOLD and time.monotonic() < deadline:
        time.sleep(0.1)
    used, running = group.used, hog.poll() is None
    hog.kill()
    hog.wait()
    group.remove()
    assert running
    assert cgroup.LIMIT * cgroup.THRESHOLD <= used < cgroup.LIMIT


@pytest.mark.parametrize(("clock", "ahead", "moves"), [("3600", 3600, 1), ("-3600", -3600, 1), ("frozen", 0, 0)])
def test_a_clock_is_wrong(clock: str, ahead: float, moves: int) -> None:
    program = "import time; a = time.time(); time.sleep(0.5); print(a, time.time() - a, time.monotonic())"
    environment = {**os.environ, **clock_environment(clock)}
    asked = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    now, passed, monotonic = map(float, asked.stdout.split())
    assert now - time.time() == pytest.approx(ahead, abs=20)
    assert (passed >= 0.5) == bool(moves)
    assert monotonic == pytest.approx(time.monotonic(), abs=20)


def test_a_study_is_locked(tmp_path: Path) -> None:
    study = database.Sqlite(tmp_path / "study.db")
    study.fail()
    with (
        contextlib.closing(sqlite3.connect(tmp_path / "study.db", timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("create table a (b)")
    study.mend()
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db", timeout=0)) as other:
        other.execute("create table a (b)")


@pytest.mark.skipif(database.postgres_unavailable() is not None, reason=str(database.postgres_unavailable()))
def test_a_database_server_is_restarted() -> None:
    import psycopg

    with database.Postgres() as server:
        study = server.database("study")
        with psycopg.connect(study.url) as connection:
            connection.execute("create table a (b int)")
        study.fail()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(study.url)
        study.mend()
        with psycopg.connect(study.url) as connection:
            assert connection.execute("select * from a").fetchall() == []


def test_a_bucket_refuses_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    with stores.buckets() as server:
        store = stores.Bucket(*server, "bucket")
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=f"http://{server[1].endpoint}", **keys)
        client.put_object(Bucket="bucket", Key="store/a", Body=b"1")
        assert "403" in store.read_only(random.Random(1))
        with pytest.raises(client.exceptions.ClientError, match="SlowDown"):
            client.put_object(Bucket="bucket", Key="store/a", Body=b"2")
        assert client.get_object(Bucket="bucket", Key="store/a")["Body"].read() == b"1"
        store.mend()
        client.put_object(Bucket="bucket", Key="store/b", Body=b"2")
        assert store.paths() == ["a", "b"]
