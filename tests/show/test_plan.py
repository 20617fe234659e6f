"""`stilts plan` on the terminal."""

import io

from rich.console import Console

from stilts.errors import sized
from stilts.plan.expand import expand
from stilts.plan.summary import make_plan
from stilts.show.plan import show_plan
from tests.plan.conftest import FakeData, declare


def test_a_plan_is_shown() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    show_plan(make_plan(expand(declare(seeds=list(range(50))), FakeData()), {}, "/store", []), console)
    text = console.export_text()
    assert "50 cells, 50 stages (0 shared; 50 trainings without sharing)" in text
    assert "... and 11 more (--json lists all)" in text
    assert [sized(n) for n in (0, 999, 1000, 2.2e9, 5e13)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "2.2 GB",
        "50.0 TB",
    ]


def test_languages_that_are_left_out_are_named() -> None:
    data = FakeData()
    data.absent = {("panx", "test", "sw"), ("panx", "train", "de")}
    plan = {"targets": {"panx": {"setting": "in-language"}}, "languages": "present"}
    console = Console(width=200, record=True, file=io.StringIO())
    show_plan(make_plan(expand(declare(**plan), data), {}, "/store", []), console)
    text = console.export_text()
    assert "panx: no test data, left out: sw\n" in text
    assert "panx: no train data, left out: de\n" in text


def test_hours_are_those_of_the_device() -> None:
    for accelerator, unit in (("gpu", "GPU-hours"), ("cpu", "CPU-hours")):
        console = Console(width=200, record=True, file=io.StringIO())
        declared = declare(runtime={"accelerator": accelerator}, cluster={"nodes": {"n": {"gpus": 1, "cpus": 8}}})
        show_plan(make_plan(expand(declared, FakeData()), {}, "/store", []), console)
        text = console.export_text()
        assert text.count(unit) >= 3
        assert text.count("PU-hours") == text.count(unit)
