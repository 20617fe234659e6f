"""What `stilts clean` found, in a terminal and as JSON."""

import io
import time

from rich.console import Console

from stilts.ledger.garbage import GarbageReport, Item
from stilts.ledger.needs import Declaration, Needs, StageNeeds
from stilts.show.cleaning import show_findings, to_json

NEEDED = Declaration("study", "abc", Needs(cells=6, stages={}, data=(), written=time.time() - 3 * 86400))
OLD = Declaration("old", "def", None)
FOUND = GarbageReport(
    forgotten=[Declaration("gone", "123", None)],
    declarations=[(NEEDED, 2_500_000), (OLD, 0)],
    unlisted=[OLD],
    running={"study": "host (process 7)"},
    items=[Item(f"stages/[red]{i}", "no experiment needs it", 1000 * i) for i in range(45)],
    held={"stages/held": "host (process 8)"},
    unknown=["notes.txt"],
)


def printed(found: GarbageReport) -> str:
    console = Console(file=io.StringIO(), width=200)
    show_findings(found, console)
    return console.file.getvalue()


def test_everything_found_is_shown():
    text = printed(FOUND)
    study = next(line for line in text.splitlines() if line.startswith("study/abc"))
    assert all(part in study for part in ("3 days ago", " 6 ", "2.5 MB", "running: host (process 7)"))
    assert "needs not listed" in next(line for line in text.splitlines() if line.startswith("old/def"))
    assert "to be forgotten: gone/123" in text
    assert "host (process 8) works on it" in text
    assert "notes.txt: not written by stilts" in text
    assert "An older stilts wrote old/def" in text


def test_the_largest_items_are_listed_and_the_others_counted():
    text = printed(FOUND)
    assert "45 in all, 5 of them not shown" in text
    assert text.index("stages/[red]44") < text.index("stages/[red]43")
    assert "stages/[red]4 " not in text


def test_nothing_to_remove_is_said():
    assert "nothing that no experiment needs" in printed(GarbageReport())


def test_json_lists_every_item():
    found = to_json(FOUND, None)
    assert len(found["items"]) == 45
    assert found["bytes"] == sum(item["bytes"] for item in found["items"]) == FOUND.bytes
    assert [(e["name"], e["cells"], e["running"]) for e in found["experiments"]] == [
        ("study", 6, "host (process 7)"),
        ("old", None, None),
    ]
    assert (found["forgotten"], found["unlisted"], found["removed"]) == (["gone/123"], ["old/def"], None)
    assert to_json(FOUND, FOUND.items[:1])["removed"] == ["stages/[red]0"]


def test_the_trials_of_a_search_share_a_row():
    stage = StageNeeds("a", True, False, (), ())
    needs = [Needs(1, {"base": stage, str(number): stage}, (), time.time()) for number in range(3)]
    trials = [(Declaration("search", f"trials/{number}", one), 100) for number, one in enumerate(needs)]
    (row,) = (line for line in printed(GarbageReport(declarations=trials)).splitlines() if "search" in line)
    assert row.split() == ["search:", "3", "trials", "just", "now", "4"]
