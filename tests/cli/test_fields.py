"""fields: every field with its type, default and meaning."""

import json

import pytest

from tests.cli.conftest import Run


def test_one_field(stilts: Run) -> None:
    code, out, _ = stilts("fields", "recipe.warmup")
    assert code == 0
    assert "recipe.warmup  number >= 0; default: the task's own, else 0" in out
    assert "Length of the linear warm-up." in out


@pytest.mark.parametrize("path", ["targets.xnli.languages", "targets.NAME.languages"])
def test_names_stand_for_themselves(stilts: Run, path: str) -> None:
    (found,) = json.loads(stilts("fields", path, "--json")[1])
    assert found["path"] == "targets.NAME.languages"
    assert found["type"] == "all | present | list of text"


def test_a_mapping_lists_what_is_inside(stilts: Run) -> None:
    found = [field["path"] for field in json.loads(stilts("fields", "runtime", "--json")[1])]
    assert found[0] == "runtime"
    assert {"runtime.ranks", "runtime.keep"} <= set(found)
    assert "search.space.warmup.low" in stilts("fields", "search.space")[1]


def test_all_fields_are_listed_once(stilts: Run) -> None:
    models = json.loads(stilts("fields", "--json")[1])
    paths = [field["path"] for model in models for field in model["fields"]]
    assert len(paths) == len(set(paths))
    assert {"name", "recipe.warmup", "search.trials", "cluster.nodes.NAME.gpus"} <= set(paths)
    assert "cluster.nodes.NAME.gpus" in stilts("fields")[1]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("recipe.warmpu", "no field 'warmpu' in recipe; did you mean 'warmup'?"),
        ("nme", "no field 'nme'; did you mean 'name'?"),
        ("name.x", "no field 'x' in name; it has no fields"),
    ],
)
def test_an_unknown_field_names_the_nearest(stilts: Run, path: str, message: str) -> None:
    code, _, err = stilts("fields", path)
    assert (code, message in err) == (1, True), err
