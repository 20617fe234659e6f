"""`benchmarks/gpu.py` runs: on a CPU, with a tiny model."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_it_measures_steps_and_evaluation_on_a_cpu(tmp_path: Path):
    found = tmp_path / "found.json"
    script = [sys.executable, str(ROOT / "benchmarks/gpu.py"), "--device", "cpu", "--data", "pos", "--json", str(found)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(found.read_text())
    (step,) = report["steps"]
    assert step["tokens_per_second"] > 0 < step["share_of_peak"]
    assert all(step["ms"][kind] > 0 for kind in ("matmul", "attention", "optimizer", "other"))
    (evaluation,) = report["evaluation"]
    assert evaluation["tokens_per_second"] > 0 < evaluation["device_share"]
    assert "| pos | 8 |" in done.stdout
