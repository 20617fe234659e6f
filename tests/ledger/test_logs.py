"""Logs in a store: bounds, the choice of an attempt, and how a stage is found by part of its name."""

import json
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.ledger.logs import (
    KEPT_ATTEMPTS,
    MOST_BYTES,
    RankOutput,
    clear_logs,
    last_output,
    log_command,
    match_stage,
    remove_old_logs,
    stage_log,
    write_output,
)
from stilts.ledger.record import stage_path, write_failure
from stilts.storage.local import LocalStore

NAMES = ("xlmr-none-s1-0a1b2c3d4e5f", "xlmr-none-s2-0affffffffff", "xlmr-mnli-s1-112233445566", "base-abcdefabcdef")
NAME = NAMES[0]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def output(attempt: int, rank: int, text: str, written: float = 1.0) -> RankOutput:
    return RankOutput(attempt, rank, {"pid": 7, "node": "host", "ray_node": "cafe", "written": written}, text)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (NAME, NAME),
        ("xlmr-none-s1", NAME),
        ("xlmr-mnli", NAMES[2]),
        ("0a1", NAME),
        ("0a1b2c3d4e5f" + "0" * 52, NAME),
        ("base", NAMES[3]),
        ("ab", NAMES[3]),
    ],
)
def test_a_stage_is_found_by_what_is_enough_of_it(wanted: str, found: str) -> None:
    assert match_stage(NAMES, wanted) == found


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("xlmr-none", "could be 2 stages: xlmr-none-s1-0a"), ("0a", "could be 2"), ("mnli", "no stage"), ("", "no stage")],
)
def test_what_is_not_one_stage_is_refused(wanted: str, said: str) -> None:
    with pytest.raises(StiltsError, match=said):
        match_stage(NAMES, wanted)
    with pytest.raises(StiltsError, match="there is none at all"):
        match_stage([], wanted)


def test_a_long_list_of_stages_is_not_printed() -> None:
    with pytest.raises(StiltsError, match="there are 500, which `stilts status`"):
        match_stage([f"stage-{i:012x}" for i in range(500)], "other")


def test_the_last_attempt_is_shown_and_others_can_be_chosen(store: LocalStore) -> None:
    for attempt in (1, 2):
        for rank in (0, 1):
            write_output(store, NAME, output(attempt, rank, f"attempt {attempt} of rank {rank}"))
    log = stage_log(store, NAME)
    assert (log.status, log.attempts) == ("waiting", [1, 2])
    assert [rank.text for rank in log.ranks] == ["attempt 2 of rank 0", "attempt 2 of rank 1"]
    assert [rank.text for rank in stage_log(store, NAME, 1, 1).ranks] == ["attempt 1 of rank 1"]
    with pytest.raises(StiltsError, match="no output of attempt 2, rank 5; there are the attempts 1, 2 and the ranks"):
        stage_log(store, NAME, rank=5)
    assert json.loads(json.dumps(log.to_json()))["ranks"][0]["ray_node"] == "cafe"


def test_a_later_attempt_that_never_had_the_lease_is_the_last_one(store: LocalStore) -> None:
    write_output(store, NAME, output(1, 0, "first", written=10.0))
    write_output(store, NAME, output(0, 0, "second", written=20.0))
    assert [rank.text for rank in stage_log(store, NAME).ranks] == ["second"]
    write_output(store, NAME, output(2, 0, "third", written=30.0))
    found = last_output(store, NAME, 0)
    assert found is not None
    assert found.text == "third"


def test_files_are_bounded_in_size_and_number_and_hold_no_secret(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_TOKEN", "very-secret-indeed")
    for attempt in range(1, 8):
        write_output(store, NAME, output(attempt, 0, "very-secret-indeed é\n" * 50_000))
        remove_old_logs(store, NAME, attempt)
    folder = Path(store.uri) / stage_path(NAME) / "logs"
    assert sorted(file.name for file in folder.iterdir()) == ["5-rank-0.txt", "6-rank-0.txt", "7-rank-0.txt"]
    assert len(list(folder.iterdir())) == KEPT_ATTEMPTS
    for file in folder.iterdir():
        assert MOST_BYTES <= file.stat().st_size < MOST_BYTES + 500
        assert "very-secret-indeed" not in file.read_text(errors="replace")
    clear_logs(store, NAME)
    assert stage_log(store, NAME).ranks == []


def test_the_reason_of_a_failure_is_part_of_the_log(store: LocalStore) -> None:
    write_failure(store, NAME, {"status": "failed", "error": "ValueError: bad", "traceback": "in f", "time": 1.0})
    log = stage_log(store, NAME)
    assert (log.status, log.ending["error"], log.ranks) == ("failed", "ValueError: bad", [])


def test_a_damaged_file_is_shown_without_facts(store: LocalStore) -> None:
    store.write(f"{stage_path(NAME)}/logs/1-rank-0.txt", b"[1]\nlast words\n")
    store.write(f"{stage_path(NAME)}/logs/1-rank-1.txt", b"{{{\xff\nothers\n")
    store.write(f"{stage_path(NAME)}/logs/notes.txt", b"mine")
    assert [(rank.facts, rank.text) for rank in stage_log(store, NAME).ranks] == [
        ({}, "last words\n"),
        ({}, "others\n"),
    ]


def test_the_command_names_a_store_that_is_not_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert log_command(NAME, str(tmp_path / "stilts-store")) == f"stilts logs {NAME}"
    assert log_command(NAME, "s3://bucket/a b") == f"stilts logs {NAME} --store 's3://bucket/a b'"
