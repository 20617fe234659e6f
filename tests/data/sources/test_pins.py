"""The table of pins is one of commits, not of branches."""

from stilts.data.sources.pins import PINS, is_known
from stilts.tasks.base import all_tasks


def test_every_pin_is_a_commit_with_a_form_and_what_showed_it() -> None:
    for (id_, revision), pin in PINS.items():
        assert id_.count("/") == 1
        assert len(revision) == 40
        assert int(revision, 16)
        assert pin.form in ("parquet", "jsonl", "csv")
        assert pin.seen.startswith("20")


def test_every_data_set_of_the_library_is_pinned() -> None:
    hubs = [hub for task in all_tasks().values() for hub in (task.hub, *task.hubs) if hub is not None]
    for source in [source for hub in hubs for source in (hub, *hub.others.values())]:
        assert is_known(source.id, source.revision)


def test_another_revision_is_not_known() -> None:
    assert is_known("facebook/xnli", "b8dd5d7af51114dbda02c0e3f6133f332186418e")
    assert not is_known("facebook/xnli", "main")
