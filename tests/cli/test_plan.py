"""plan: counts, prices, JSON; every mistake before anything trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import PAIRS, Run


def test_plan_counts_and_is_json(stilts: Run, experiment: Path) -> None:
    code, out, _ = stilts("plan", experiment, "--json")
    plan = json.loads(out)
    assert code == 0
    assert {"cells", "stages", "shared", "done", "to_train", "gpu_hours", "bytes"} <= set(plan)
    assert (plan["cells"], plan["stages"], plan["done"], plan["to_train"]) == (1, 1, 0, 1)


def test_plan_needs_neither_torch_nor_ray(experiment: Path) -> None:
    code = (
        "import sys; sys.argv = ['stilts', 'plan', sys.argv[1]]\n"
        "from stilts.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'ray', 'transformers', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(experiment)], check=True, cwd=experiment.parent)


def test_mistakes_in_the_declaration_and_in_what_it_names_come_at_once(stilts: Run, experiment: Path) -> None:
    settings = ["targets.xnly={}", "targets.xnli.languages=[en, dee]", "recipes.xnli.stride=500", "data.tasks.foo={}"]
    code, _, err = stilts("plan", experiment, *(f"--set={setting}" for setting in settings))
    assert code == 1
    for part in ("did you mean 'xnli'", "no language 'dee'", "stride 500 must be smaller", "unknown task 'foo'"):
        assert part in err


def test_windows_files_read_as_others(stilts: Run, experiment: Path) -> None:
    folder = experiment.parent / "xtreme" / "xnli"
    _, plain, _ = stilts("plan", experiment, "--json")
    (folder / "train-en.tsv").write_bytes(b"\xef\xbb\xbf" + PAIRS.replace("\n", "\r\n").encode())
    code, windows, _ = stilts("plan", experiment, "--json")
    assert code == 0
    assert json.loads(windows)["by_stage"] == json.loads(plain)["by_stage"]


def test_a_base_model_without_its_files(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    code, _, err = stilts("plan", experiment, "--set", f"models={{m: {{path: {tmp_path}/model}}}}")
    assert code == 1
    assert "model.safetensors is missing" in err
    assert "no tokenizer" in err


def test_a_hub_model_without_a_revision_takes_main(stilts: Run, experiment: Path) -> None:
    code, out, _ = stilts("plan", experiment, "--set", "models={m: {hub: xlm-roberta-base}}")
    assert code == 0
    assert "xlm-roberta-base@main" in out


def test_a_store_that_cannot_be_written(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = stilts("plan", experiment, "--set", f"store={tmp_path}/file/store")
    assert code == 1
    assert "is a file; give another folder" in err


def test_a_plan_is_priced_and_simulated_where_machines_are_described(stilts: Run, experiment: Path) -> None:
    plain = json.loads(stilts("plan", experiment, "--json")[1])
    assert not {"price", "simulation"} & set(plain)
    code, _, err = stilts("plan", experiment, "--simulate")
    assert (code, "describe the machines" in err) == (1, True)
    priced = ("--set", "cluster={nodes: {n: {gpus: 1, price_per_hour: 2}}}")
    found = json.loads(stilts("plan", experiment, "--simulate", "--json", *priced)[1])
    assert found["price"]["currency"] == "USD"
    assert found["simulation"]["hours"]["mean"] >= found["simulation"]["hours_at_least"]
    code, out, _ = stilts("plan", experiment, "--simulate", *priced)
    assert code == 0
    assert "USD expected" in out
    assert "utilisation" in out


def test_what_cannot_be_read_at_all(stilts: Run, tmp_path: Path) -> None:
    code, _, err = stilts("plan", tmp_path / "absent.yaml")
    assert code == 1
    assert "absent.yaml" in err
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    assert stilts("plan", tmp_path / "bad.yaml")[0] == 1
    code, _, err = stilts("score", "--predictions", tmp_path / "no", "--labels", tmp_path)
    assert code == 1
    code, _, err = stilts("frobnicate")
    assert code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = stilts("plan", experiment, "--set", f"store={tmp_path}/locked/store")
    assert code == 1
    assert "cannot write" in err


def test_a_plan_beside_another(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    gang = tmp_path / "gang.yaml"
    gang.write_text("runtime: {ranks: 4}")
    given = ("--beside", gang, "--set", "cluster={nodes: {n: {gpus: 4, price_per_hour: 2}}}")
    one, four = json.loads(stilts("plan", experiment, "--json", *given)[1])["beside"]
    assert (one["name"], one["ranks"], four["name"], four["ranks"]) == ("as declared", 1, "gang.yaml", 4)
    assert four["gpu_hours"] > one["gpu_hours"]
    code, out, _ = stilts("plan", experiment, "--simulate", *given)
    assert code == 0
    for word in ("as declared", "gang.yaml", "rank-hours", "cost (USD)", "simulated hours"):
        assert word in out
    code, out, _ = stilts("plan", experiment, "--beside", gang)
    assert code == 0, "without machines, hours alone are compared"
    assert "cost" not in out.partition("compared")[2]
