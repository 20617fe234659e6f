"""schema: every experiment of ray_jobs fits the schema that editors check it with."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cli.conftest import Run

JOBS = sorted((Path(__file__).parents[2] / "ray_jobs").glob("*.yaml"))


@pytest.mark.parametrize(
    "path", [p for p in JOBS if not p.name.startswith(("tune", "sharded"))], ids=lambda path: path.stem
)
def test_experiments_fit(stilts: Run, path: Path) -> None:
    schema = json.loads(stilts("schema")[1])
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", path.read_text())  # variables, which stilts expands
    jsonschema.validate(yaml.safe_load(re.sub(r"\b(\d)e-", r"\1.0e-", text)), schema)


def test_mistakes_do_not_fit_and_fields_are_described(stilts: Run) -> None:
    schema = json.loads(stilts("schema")[1])
    good = {"name": "a", "seeds": [1], "models": {"m": {"path": "x"}}, "intermediates": ["none"], "targets": ["xnli"]}
    jsonschema.validate(good, schema)
    for bad in ({"nam": "a"}, {"seeds": "1"}, {"recipe": {"warmpu": 1}}, {"runtime": {"keep": "some"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, **bad}, schema)
    assert schema["properties"]["store"]["description"].startswith("Where models")
    assert "search" in json.loads(stilts("schema", "--search")[1])["properties"]
