"""`ray job submit` as the README has it, to a cluster on this machine that asks for a token."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.own_ray import RAY, ROOT, OwnRay, seconds_until
from tests.servers import free_port
from tests.test_main_job import EXPERIMENT, STAGES, records

pytestmark = pytest.mark.slow

JOB = ROOT / "ray_jobs" / "cluster" / "job.yaml"
DRIVER = ["--entrypoint-resources", json.dumps({"stilts_driver": 1})]


class Jobs:
    """The commands of `ray job`, as one person's shell has them."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def __call__(self, *arguments: str, token: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment}
        if not token:
            environment |= {"RAY_AUTH_MODE": "disabled"}
        command = [RAY, "job", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=400
        )

    def submit(self, *options: str, run: Sequence[str] = ("run", "small.yaml")) -> subprocess.CompletedProcess[str]:
        given = ["--working-dir", ".", "--runtime-env", str(JOB), *DRIVER, *options]
        return self("submit", *given, "--", sys.executable, "-m", "stilts", *run)

    def ended(self, job: str) -> str | None:
        """How a job ended: succeeded, failed or stopped; None while it runs."""
        said = self("status", job)
        found = re.search(r"Job '.*' (?:was )?(succeeded|failed|stopped)", said.stdout + said.stderr)
        return found[1] if found else None


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """A head with two CPUs, its dashboard on localhost, and a working directory with an experiment and a store."""
    folder, port = tmp_path_factory.mktemp("jobs"), free_port()
    (folder / "work").mkdir()
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    (folder / "work" / "small.yaml").write_text(EXPERIMENT.format(store=folder / "store"))
    cluster = OwnRay()
    arguments = ["--num-cpus=2", f"--resources={json.dumps({'stilts_driver': 16})}", "--include-dashboard=true"]
    cluster.start([*arguments, "--dashboard-host=127.0.0.1", f"--dashboard-port={port}"], access)
    made = Jobs(folder / "work", {**access, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}"})
    try:
        # The dashboard answers some requests before it can take a job.
        seconds_until(lambda: made("submit", "--", "true").returncode == 0, 240)
        yield made
    finally:
        cluster.close()


def test_without_the_token_nothing_is_accepted(jobs: Jobs) -> None:
    refused = jobs("submit", "--", "echo", "hello", token=False)
    assert refused.returncode != 0
    assert "401" in refused.stdout + refused.stderr or "oken" in refused.stderr


def test_a_store_that_goes_with_the_job_is_refused(jobs: Jobs) -> None:
    refused = jobs.submit(run=("run", "small.yaml", "--set", "store=stilts-store"))
    assert refused.returncode == 1
    assert "would lie in this job's own copy" in refused.stdout


def test_submit_logs_stop_and_submit_again(jobs: Jobs) -> None:
    home = jobs.folder.parent
    took: dict[str, float] = {}
    begin = time.monotonic()
    assert jobs.submit("--no-wait", "--submission-id", "first").returncode == 0
    took["submit"] = time.monotonic() - begin
    seconds_until(lambda: records(home), 300)
    took["submit until the first stage is done"] = time.monotonic() - begin
    assert "done" in jobs("logs", "first").stdout
    begin = time.monotonic()
    jobs("stop", "first")
    took["stop"] = time.monotonic() - begin
    assert jobs.ended("first") == "stopped"
    said = jobs("logs", "first").stdout
    assert "interrupted; the same command continues from here" in said
    before = records(home)
    assert 0 < len(before) < STAGES
    begin = time.monotonic()
    again = jobs.submit("--submission-id", "second")
    took["again, to the end"] = time.monotonic() - begin
    assert again.returncode == 0, again.stdout
    after = records(home)
    assert len(after) >= STAGES
    assert {name: after[name] for name in before} == before
    assert f"{len(before) - 1} done" in again.stdout  # all but the new model, which is no training
    assert "tatoeba" in again.stdout
    finished = jobs.submit()
    assert finished.returncode == 0
    assert "nothing to train" in finished.stdout
    print("; ".join(f"{step}: {seconds:.1f} s" for step, seconds in took.items()))


def test_two_jobs_share_the_cluster_and_a_store(jobs: Jobs) -> None:
    work = yaml.safe_load((jobs.folder / "small.yaml").read_text())
    shared = f"store={Path(work['store']).parent / 'shared'}"
    for name in ("left", "right"):
        run = ("run", "small.yaml", "--set", shared, "--set", "targets=[xnli, udpos]")
        assert jobs.submit("--no-wait", "--submission-id", name, run=run).returncode == 0
    for name in ("left", "right"):
        seconds_until(lambda name=name: jobs.ended(name), 400)
        assert jobs.ended(name) == "succeeded", jobs("logs", name).stdout
