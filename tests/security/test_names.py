"""Names become file names and keys of the store: what could lead elsewhere is refused where it stands."""

import json
import os
from pathlib import Path

import pytest

from stilts.data.prepare import Catalog
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.experiment.load import load_experiment
from stilts.storage.local import LocalStore
from stilts.tasks.base import get_task

EXPERIMENT = """\
name: small
seeds: [1]
models:
  xlmr: {hub: FacebookAI/xlm-roberta-base, revision: e73636d}
intermediates: {none: [], other: [mnli]}
targets: {xnli: {}}
"""

NASTY = [
    "../x",
    "..",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\x1b[2Jb",
    "a\N{DIVISION SLASH}b",
    "a\N{FULLWIDTH SOLIDUS}b",
    "a\N{FRACTION SLASH}b",
    "\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}",
    "a\N{RIGHT-TO-LEFT OVERRIDE}b",
    ".hidden",
    "-rf",
    "",
    " ",
    "x" * 300,
]

PLACES = {
    "experiment": ("name: small", "name: {}", 1),
    "model": ("  xlmr:", "  {}:", 4),
    "regime": ("other:", "{}:", 5),
    "target": ("{xnli: {}}", "{{{}: {{task: xnli}}}}", 6),
    "training task": ("[mnli]", "[{}]", 5),
    "evaluated task": ("{xnli: {}}", "{{mine: {{task: {}}}}}", 6),
    "revision": ("e73636d", "{}", 4),
    "languages": ("seeds: [1]", "seeds: [1]\nlanguages: [{}]", 3),
    "target's languages": ("{xnli: {}}", "{{xnli: {{languages: [{}]}}}}", 6),
    "training languages": ("[mnli]", "[{{task: mnli, training: translated, languages: [{}]}}]", 5),
    "task with data": ("seeds: [1]", "seeds: [1]\ndata: {{tasks: {{{}: {{train: x}}}}}}", 3),
}


@pytest.mark.parametrize("name", NASTY, ids=ascii)
@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_leads_elsewhere_is_refused_where_it_stands(tmp_path: Path, place: str, name: str) -> None:
    if place == "revision" and name in ("a/b", "x" * 300):
        pytest.skip("a ref such as refs/pr/7")
    old, new, line = PLACES[place]
    (tmp_path / "e.yaml").write_text(EXPERIMENT.replace(old, new.format(json.dumps(name))))
    with pytest.raises(StiltsError) as caught:
        _plan(tmp_path)
    if "task" not in place:  # tasks are looked up in the library: the message has the field, not the line
        assert f"e.yaml:{line}" in str(caught.value)
    assert not list(tmp_path.parent.glob("x*"))


def _plan(folder: Path) -> None:
    from stilts.plan.expand import expand

    experiment = load_experiment(folder / "e.yaml", environment={})
    expand(experiment, Catalog(experiment.data, folder / "store"))


@pytest.mark.parametrize("field", ["store", "results", "data.xtreme", "data.labels", "data.tasks.mnli.train"])
def test_paths_hold_no_control_characters(tmp_path: Path, field: str) -> None:
    (tmp_path / "e.yaml").write_text(EXPERIMENT)
    with pytest.raises(StiltsError, match="holds a control character"):
        load_experiment(tmp_path / "e.yaml", [f'{field}="a\\0b"'], {})


@pytest.mark.parametrize("key", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "a\0b", "a//b", "./a", ""])
def test_a_key_that_leads_out_of_the_store_is_refused(tmp_path: Path, key: str) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "folder").mkdir()
    asked = [
        lambda: store.read(key),
        lambda: store.write(key, b"x"),
        lambda: store.create(key, b"x"),
        lambda: list(store.list(key)),
        lambda: store.remove(key),
        lambda: store.measure(key),
        lambda: store.put_tree(tmp_path / "folder", key),
        lambda: store.fetch_tree(key, {}),
        lambda: store.scratch(key),
        lambda: store.publish(key),
        lambda: store.obtain(key),
    ]
    for ask in asked:
        with pytest.raises(StiltsError, match="no path inside a store"):
            ask()
    assert sorted(os.listdir(tmp_path)) == ["folder"]


def test_an_index_that_leads_elsewhere_is_not_believed(tmp_path: Path) -> None:
    """It lies in the store, and says where the table of a source file is."""
    source = tmp_path / "mine.tsv"
    source.write_text("A man eats.\tSomebody eats.\tentailment\n")
    os.utime(source, (0, 0))
    catalog = Catalog(DataDecl(tasks={"xnli": TaskSource(train=str(source))}), tmp_path / "store")
    ref = catalog.ref(get_task("xnli"), "train", "en")
    (index,) = (tmp_path / "store" / "data" / "index").iterdir()
    for field, value in (("language", "../../../elsewhere"), ("task", "../.."), ("split", "../train")):
        planted = {**vars(ref), field: value}
        index.write_text(json.dumps(planted))
        path = tmp_path / "store" / type(ref)(**planted).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"planted")
        assert catalog.ref(get_task("xnli"), "train", "en") == ref


def test_links_in_a_store_are_not_followed_when_it_is_emptied(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    store.scratch("stages/a")
    (store.root / "stages/a/link").symlink_to(tmp_path / "mine")
    (store.root / "stages/b").symlink_to(tmp_path / "mine")
    for path in ("stages/a", "stages/b"):
        store.remove(path)
    assert list(store.list("stages")) == []
    assert (tmp_path / "mine" / "thesis.tex").exists()
