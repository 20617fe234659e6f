"""The command line: bad input ends in one message, non-zero, before anything trains; good input in tables or JSON."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stilts.cli import main
from stilts.ledger.spending import Spending, write_spending
from stilts.storage.cache import Cache
from stilts.storage.local import LocalStore

PAIRS = "A man eats.\tSomebody eats.\tentailment\nA man eats.\tNobody eats.\tcontradiction\n"

EXPERIMENT = """\
name: tiny
store: {folder}/store
seeds: [1]
models:
  tiny:
    init:
      config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}
      tokenizer: {{vocab_size: 300}}
intermediates: [none]
targets:
  xnli: {{languages: [en, de]}}
recipe: {{precision: fp32, max_steps: 2}}
data:
  xtreme: {folder}/xtreme
  tasks:
    mlm: {{train: "{folder}/{{lang}}.txt"}}
languages: present
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "xtreme" / "xnli"
    folder.mkdir(parents=True)
    (folder / "train-en.tsv").write_text(PAIRS)
    (folder / "dev-en.tsv").write_text(PAIRS)
    for language in ("en", "de"):
        (folder / f"test-{language}.tsv").write_text("A man eats.\tSomebody eats.\n")
    (tmp_path / "en.txt").write_text("A man eats.\nSomebody sleeps.\n")
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT.format(folder=tmp_path))
    return path


@pytest.fixture
def stilts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command line: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stilts", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, " ".join(err.split())

    return run


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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("train-en.tsv", "train-en.tsv"),
        (("train-en.tsv", ""), "empty"),
        (("train-en.tsv", "one column\n"), "train-en.tsv:1"),
        (("train-en.tsv", "a\tb\tmaybe\n"), "'maybe'"),
        (("train-en.tsv", "a\tb\n"), "no gold"),
        (("dev-en.tsv", "a\tb\0\tneutral\n"), "NUL"),
        (("test-de.tsv", b"\xff\xfe\tb\n"), "UTF-8"),
    ],
)
def test_damaged_data_is_told_before_training(
    stilts: Run, experiment: Path, damage: str | tuple[str, str | bytes], message: str
) -> None:
    folder = experiment.parent / "xtreme" / "xnli"
    if isinstance(damage, str):
        (folder / damage).unlink()
    else:
        name, content = damage
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = stilts("run", experiment)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_windows_files_read_as_others(stilts: Run, experiment: Path) -> None:
    folder = experiment.parent / "xtreme" / "xnli"
    _, plain, _ = stilts("plan", experiment, "--json")
    (folder / "train-en.tsv").write_bytes(b"\xef\xbb\xbf" + PAIRS.replace("\n", "\r\n").encode())
    code, windows, _ = stilts("plan", experiment, "--json")
    assert code == 0
    assert json.loads(windows)["by_stage"] == json.loads(plain)["by_stage"]


def test_too_few_processors_are_told_at_once(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("run", experiment, "--set", "runtime.cpus_per_rank=999")
    assert code == 1
    assert "999" in err
    code, _, err = stilts("run", experiment, "--set", "runtime.accelerator=gpu", "--set", "runtime.ranks=64")
    assert code == 1
    assert "GPU" in err


def test_a_base_model_without_its_files(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    code, _, err = stilts("plan", experiment, "--set", f"models={{m: {{path: {tmp_path}/model}}}}")
    assert code == 1
    assert "model.safetensors is missing" in err
    assert "no tokenizer" in err
    code, _, err = stilts("plan", experiment, "--set", "models={m: {hub: xlm-roberta-base}}")
    assert code == 1
    assert "revision" in err


def test_a_store_that_cannot_be_written(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = stilts("plan", experiment, "--set", f"store={tmp_path}/file/store")
    assert code == 1
    assert "cannot write" in err


def test_too_little_disk_is_told_before_training(
    stilts: Run, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    code, _, err = stilts("run", experiment)
    assert code == 1
    assert "GB free" in err


def test_limits_are_looked_at_before_anything_runs(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("run", experiment, "--max-cost", 5)
    assert (code, "needs prices" in err) == (1, True)
    store = LocalStore(experiment.parent / "store")
    write_spending(store, "tiny", "earlier", Spending(gpu_hours=2.5, cost=6.0, launches=1), "USD")
    priced = "cluster={nodes: {n: {gpus: 1, cpus: 1, price_per_hour: 2}}}"
    for limit, said in (("--max-cost=5", "6.00 of 5.00 USD"), ("--max-gpu-hours=2", "2.5 of 2 GPU-hours")):
        code, _, err = stilts("run", experiment, limit, "--set", priced)
        assert code == 3
        assert said in err
        assert "with a higher limit goes on" in err
    assert "spent: 2.500 GPU-hours, 6.00 USD in 1 launch" in stilts("status", experiment, "--set", priced)[1]


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


def test_defects_show_no_traceback_but_how_to_get_one(
    stilts: Run, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("stilts.session.Session.open", broken)
    monkeypatch.delenv("STILTS_DEBUG", raising=False)
    code, _, err = stilts("plan", experiment)
    assert code == 70
    assert "boom" in err
    assert "STILTS_DEBUG" in err


def test_data_is_prepared_and_verified(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    assert stilts("data", "prepare", experiment)[0] == 0
    code, out, _ = stilts("data", "verify", experiment, "--json")
    assert code == 0
    rows = json.loads(out)
    assert {row["problem"] for row in rows} == {None}
    first, second = (tmp_path / "store" / row["path"] for row in rows[:2])
    first.write_bytes(second.read_bytes())
    second.write_bytes(b"nonsense")
    code, out, err = stilts("data", "verify", experiment, "--json")
    assert code == 1
    assert out, err
    assert [row["problem"] is None for row in json.loads(out)] == [False, False] + [True] * (len(rows) - 2)
    assert "is no Arrow file" in err
    assert "data prepare" in err


def test_a_machine_without_the_data_plans_from_the_store(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    assert stilts("data", "prepare", experiment)[0] == 0
    planned = stilts("plan", experiment, "--json")[1]
    for name in ("xtreme", "en.txt"):
        (tmp_path / name).rename(tmp_path / f"{name}-of-another-machine")
    again = stilts("plan", experiment, "--json")
    assert again == (0, planned, ""), again[2]
    assert stilts("collect", experiment)[0] == 0
    assert stilts("data", "verify", experiment)[0] == 0
    code, _, err = stilts("plan", experiment, "--set", "targets.xnli.languages=[en, sw]")
    assert code == 1
    assert "the store does not know the test data of xnli in sw" in err
    assert "data prepare" in err
    code, _, err = stilts("plan", experiment, "--set", "data.xtreme=mistyped")
    assert code == 1
    assert "mistyped is not a folder" in err


def test_an_unknown_baseline_is_named_before_anything_is_written(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    code, _, err = stilts("collect", experiment, "--baseline", "nonee")
    assert code == 1
    assert "--baseline: the experiment has no regime 'nonee'; did you mean 'none'" in err
    assert not (tmp_path / "results").exists()


def test_doctor_examines(stilts: Run) -> None:
    code, out, _ = stilts("doctor", "--store", "store", "--json")
    found = {finding["check"]: finding for finding in json.loads(out)}
    assert code == 0
    assert found["store"]["state"] == "ok"
    assert {"torch", "GPUs", "DeepSpeed ops", "disk", "Ray"} <= set(found)


def test_a_report_of_what_has_not_run_says_so(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    code, out, err = stilts("report", experiment, "--out", tmp_path / "out" / "first.html")
    page = (tmp_path / "out" / "first.html").read_text()
    assert (code, err) == (0, "")
    assert "first.html" in out
    assert "Nothing was evaluated under noise" in page
    assert "no figures" in out
    assert f"stilts report {experiment}" in page
    assert stilts("report", experiment, "--baseline", "mnli")[0] == 1


def test_the_command_line_is_frozen() -> None:
    import typer

    from stilts.cli import app

    command = typer.main.get_command(app)
    commands = command.commands  # type: ignore[attr-defined]
    options = {
        name: sorted(option for p in sub.params for option in p.opts)
        for name, sub in commands.items()
        if name != "data"
    }
    assert options == {
        "clean": ["--cache", "--forget", "--json", "--store", "--yes", "-y"],
        "collect": ["--baseline", "--difference", "--json", "--set", "--with", "experiment"],
        "doctor": ["--json", "--store"],
        "explain": ["--experiment", "--json", "--set", "--with", "-e", "stage"],
        "plan": ["--json", "--set", "--simulate", "--with", "experiment"],
        "report": ["--baseline", "--difference", "--out", "--set", "--with", "experiment"],
        "run": ["--json", "--max-cost", "--max-gpu-hours", "--set", "--tracker", "--with", "experiment"],
        "score": ["--benchmark", "--json", "--labels", "--predictions"],
        "status": ["--json", "--set", "--watch", "--with", "experiment"],
        "submission": ["--intermediate", "--json", "--model", "--out", "--set", "--with", "experiment"],
        "tune": ["--json", "--max-cost", "--max-gpu-hours", "--set", "--with", "search"],
        "watch": ["--address", "--cloud", "--drain-on-rebalance", "--every", "--node"],
    }
    assert list(commands["data"].commands) == ["prepare", "verify"]


@pytest.fixture
def declared(stilts: Run, experiment: Path) -> Path:
    """A store with an experiment and a table that none needs."""
    store = experiment.parent / "store"
    assert stilts("data", "prepare", experiment)[0] == 0
    (store / "data" / "xnli" / "dev-fr-0123456789ab.arrow").write_bytes(bytes(3000))
    return store


def test_clean_removes_nothing_in_a_pipe_unless_it_is_told_to(stilts: Run, declared: Path) -> None:
    table = declared / "data" / "xnli" / "dev-fr-0123456789ab.arrow"
    code, out, _ = stilts("clean", "--store", declared)
    assert code == 0
    assert "dev-fr-0123456789ab.arrow" in out
    assert "3.0 kB" in out
    assert "tiny/" in out
    assert "nothing was removed; -y removes it" in out
    found = json.loads(stilts("clean", "--store", declared, "--json")[1])
    assert found["removed"] is None
    assert [item["path"] for item in found["items"]] == ["data/xnli/dev-fr-0123456789ab.arrow"]
    assert found["bytes"] == 3000
    assert table.exists()
    code, out, _ = stilts("clean", "--store", declared, "-y")
    assert "1 of 1 removed, 3.0 kB freed" in out
    assert not table.exists()
    assert "nothing that no experiment needs" in stilts("clean", "--store", declared)[1]


def test_clean_forgets_an_experiment(stilts: Run, declared: Path) -> None:
    code, out, _ = stilts("clean", "--store", declared, "--forget", "tiny", "-y", "--json")
    assert code == 0
    assert [name.partition("/")[0] for name in json.loads(out)["forgotten"]] == ["tiny"]
    assert not list(declared.rglob("*.arrow"))
    code, _, err = stilts("clean", "--store", declared)
    assert code == 1
    assert "no store of stilts" in err


def test_clean_empties_this_machines_cache_but_for_what_is_used(
    stilts: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    used, gone = Cache(), Cache()
    for cache, key in ((used, "a" * 32), (gone, "b" * 32)):
        cache.copy(key, {"file": 2000}, lambda folder: (folder / "file").write_bytes(bytes(2000)) and None)
    del cache, gone
    assert "nothing was removed" in stilts("clean", "--cache")[1]
    found = json.loads(stilts("clean", "--cache", "-y", "--json")[1])
    assert len(found["items"]) == 2
    assert [Path(path).name for path in found["removed"]] == ["b" * 32]
    assert (tmp_path / "cache" / "copies" / ("a" * 32)).is_dir()


@pytest.mark.parametrize(("answer", "left"), [("n", True), ("y", False)])
def test_clean_asks_a_person(declared: Path, answer: str, left: bool) -> None:
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "stilts", "clean", "--store", str(declared)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, f"{answer}\n".encode())
    with contextlib.suppress(OSError):  # Linux ends a terminal's output with an error
        while os.read(terminal, 4096):
            pass
    process.wait(timeout=60)
    os.close(terminal)
    assert (declared / "data" / "xnli" / "dev-fr-0123456789ab.arrow").exists() == left


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = stilts("plan", experiment, "--set", f"store={tmp_path}/locked/store")
    assert code == 1
    assert "cannot write" in err
