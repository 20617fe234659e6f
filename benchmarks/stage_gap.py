"""Where the time between two stages goes: the spans of one warm gang from the last step of a stage to the first of the
next. `stage_overhead.py --encoder` runs it and prints the table.

`traced` is the stage function. Around the functions of SPANS it notes when the main thread of the rank enters and
leaves them, and writes what it saw to a file of the stage.
"""

import functools
import importlib
import itertools
import json
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

STEP = "a step"
SPANS = {
    "stilts.train.loop:_Run._step": STEP,
    "stilts.train.loop:make_engine": "engine",
    "stilts.train.loop:use_rows": "embedding rows in use",
    "stilts.train.loop:restore_rows": "embedding rows in use",
    "stilts.train.loop:StepSchedule": "data order",
    "stilts.train.flat:FlatEngine.release": "engine",
    "stilts.train.deepspeed:DeepSpeedEngine.release": "engine",
    "stilts.run.stage.training:obtain_weights": "weights: find and check",
    "stilts.train.model:load_tokenizer": "tokenizer",
    "stilts.train.model:Model.load": "weights: load the model",
    "stilts.train.model:Model.save": "weights: save",
    "stilts.run.stage.training:obtain_train_part": "features",
    "stilts.run.stage.stage:lacking": "what is missing",
    "stilts.run.stage.stage:_remove_orphans": "what is missing",
    "stilts.run.stage.stage:open_store": "what is missing",
    "stilts.run.stage.stage:temporary_folder": "what is missing",
    "stilts.run.stage.uploader:Uploader.flush": "wait for the store",
    "stilts.storage.lease:Lease.acquire": "lease",
    "stilts.storage.lease:Lease.__exit__": "lease",
    "stilts.run.stage.training:training_facts": "record",
    "stilts.run.stage.training:publish_stage": "record",
    "stilts.run.stage.stage:run_stage": "rest of the stage",
}
"""What is measured, by the function's place: `module:name`. A name that a version does not have is left out."""
ELSEWHERE, TOTAL = "between stages: Tune and Ray", "total"

_events: list[tuple[float, float, str]] = []
"""Time, CPU seconds of the process, and what the main thread does from then on."""
_inside = [ELSEWHERE]


def traced(job: Any, ranks: Any, report: Callable[[dict], None]) -> None:
    """`run_stage` with SPANS; writes the events of the stage to `STORE/spans/NAME.json`."""
    if not getattr(traced, "ready", False):
        for place, label in SPANS.items():
            _wrap(place, label)
        traced.ready = True
    from stilts.run.stage import stage

    _events.clear()
    stage.run_stage(job, ranks, report)
    folder = Path(job.store) / "spans"
    folder.mkdir(exist_ok=True)
    (folder / f"{job.name}.json").write_text(json.dumps(_events))


def _wrap(place: str, label: str) -> None:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part, None)
    found = getattr(owner, name, None)
    if found is None:
        return
    main = threading.get_ident()
    is_class_method = isinstance(owner.__dict__.get(name), classmethod)
    original = found.__func__ if is_class_method else found

    @functools.wraps(found, updated=())
    def spanned(*args: Any, **options: Any) -> Any:
        if threading.get_ident() != main:
            return original(*args, **options)
        _inside.append(label)
        _events.append((time.time(), time.process_time(), label))
        try:
            return original(*args, **options)
        finally:
            _inside.pop()
            _events.append((time.time(), time.process_time(), _inside[-1]))

    setattr(owner, name, classmethod(spanned) if is_class_method else spanned)


def chain(folder: Path, encoder: Path, count: int, steps: int, batch: int) -> list[Any]:
    """The jobs of a base model and of a chain of stages on natural language inference, of which nothing is evaluated.

    The data are the generated corpus, written to a store in the folder.
    """
    from stilts.experiment.load import load_experiment
    from stilts.plan.job import StageJob
    from stilts.session import Session

    declared = {
        "name": "gap",
        "store": str(folder / "store"),
        "seeds": [1],
        "models": {"encoder": {"path": str(encoder.resolve())}},
        "intermediates": ["none"],
        "targets": ["xnli"],
        "languages": ["en"],
        "recipe": {
            "precision": "fp32",
            "max_steps": steps,
            "epochs": None,
            "batch_size": batch,
            "max_length": 64,
            "selection": "last",
        },
        "data": {"generate": {"languages": 1}},
        "runtime": {"accelerator": "auto", "cpus_per_rank": 1},
    }
    file = folder / "gap.yaml"
    file.write_text(yaml.safe_dump(declared))
    session = Session.of(load_experiment(file))
    session.prepare()
    jobs = {job.parent is None: job for job in session.plan().jobs.values()}
    from stilts.ledger.base_checkpoint import publish_checkpoint

    publish_checkpoint(session.store, jobs[True].spec)
    chained: list[StageJob] = [replace(jobs[True], evaluations=(), needed=True)]
    for number in range(count):
        spec = replace(jobs[False].spec, parent=chained[-1].spec.key)
        job = replace(jobs[False], name=f"s{number:02}-{spec.key[:12]}", spec=spec, evaluations=(), watched=())
        chained.append(replace(job, parent=chained[-1].name, needed=True, keep_weights=True))
    return chained


def gaps(events: Sequence[list[tuple[float, float, str]]]) -> list[dict[str, list[float]]]:
    """Seconds, and CPU seconds of all threads, of each label between each stage and the next, and their `total`.

    Args:
        events: of each stage, in their order.
    """
    found = []
    for before, after in itertools.pairwise(events):
        last = max(i for i, (_, _, label) in enumerate(before) if label == STEP) + 1
        first = next(i for i, (_, _, label) in enumerate(after) if label == STEP)
        seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for (time_a, cpu_a, label), (time_b, cpu_b, _) in itertools.pairwise([*before[last:], *after[: first + 1]]):
            for name in (label, TOTAL):
                seconds[name][0] += time_b - time_a
                seconds[name][1] += cpu_b - cpu_a
        found.append(dict(seconds))
    return found


def measure(
    folder: Path, encoder: Path, count: int, steps: int = 3, batch: int = 8, *, with_ray: bool = True
) -> dict[str, Any]:
    """Run the chain on one warm gang, or in this process without Ray, and summarise its gaps but the first."""
    from stilts.run.tune_adapter.execute import execute

    jobs = chain(folder, encoder, count + 2, steps, batch)
    if not with_ray:
        import torch

        from stilts.train.ranks import connect

        torch.set_num_threads(1)
        ranks = connect(0, 1, "127.0.0.1", 0, torch.device("cpu"))
        for job in jobs:
            traced(job, ranks, lambda report: None)
        return summary(jobs)
    outcome = execute(jobs, runtime=jobs[0].runtime, stage_function="stage_gap:traced")
    assert outcome.complete, outcome
    return summary(jobs)


def summary(jobs: Sequence[Any]) -> dict[str, Any]:
    """Medians of `[seconds, CPU seconds]` by label over the gaps of a chain, and the seconds of each gap."""
    files = [Path(job.store) / "spans" / f"{job.name}.json" for job in jobs[1:]]
    counted = gaps([json.loads(file.read_text()) for file in files])[1:]
    labels = {label for gap in counted for label in gap}
    medians = {
        label: [statistics.median(gap.get(label, [0.0, 0.0])[kind] for gap in counted) for kind in (0, 1)]
        for label in labels
    }
    return {"medians": medians, "totals": [gap[TOTAL][0] for gap in counted]}


def show(found: dict[str, Any]) -> None:
    totals, medians = found["totals"], dict(found["medians"])
    total = medians.pop(TOTAL)
    print(f"{'from the last step of a stage to the first of the next':<56} seconds     CPU")
    for label, (seconds, cpu) in sorted(medians.items(), key=lambda pair: -pair[1][0]):
        print(f"  {label:<54} {seconds:7.2f} {cpu:7.2f}")
    label = f"total (min {min(totals):.2f}, max {max(totals):.2f}, n = {len(totals)})"
    print(f"  {label:<54} {total[0]:7.2f} {total[1]:7.2f}")
