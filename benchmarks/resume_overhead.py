"""Measures the overhead of resume states: the seconds that training waits for one, as a share of the interval.

Trains a few steps of an encoder of the given size (default: XLM-R base with 278 million random parameters), and writes
a resume state with the best weights so far after each step. The measured time covers gathering the state from the
ranks and copying it. A thread hashes and writes it, and uploads it to an object store, while the training continues.

    python benchmarks/resume_overhead.py --folder /scratch --json resume.json
"""

import argparse
import json
import os
import platform
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

INTERVAL_SECONDS = 600.0
"""The default of `runtime.checkpoint_seconds`."""


def measure(folder: Path, sizes: dict[str, int], steps: int, zero_stage: int) -> dict[str, Any]:
    """Train `steps` + 1 steps and measure the time and size of each resume state."""
    import pyarrow as pa
    import torch
    from transformers import AutoModel, XLMRobertaConfig

    from stilts.experiment.recipe import Recipe
    from stilts.experiment.runtime import Runtime
    from stilts.train.checkpoint import ResumeStore
    from stilts.train.heads import HeadSpec, make_head
    from stilts.train.loop import train
    from stilts.train.model import Model
    from stilts.train.ranks import connect
    from stilts.train.step_schedule import TrainPart

    seconds: list[float] = []
    cpu_seconds: list[float] = []

    class Timed(ResumeStore):
        def save(self, *state: Any) -> None:
            self.wait()  # for the state before, of which nothing is left to be written after a real interval
            began, cpu = time.monotonic(), time.process_time()
            super().save(*state)
            seconds.append(time.monotonic() - began)
            cpu_seconds.append(time.process_time() - cpu)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gpu = torch.cuda.is_available()
    ranks = connect(0, 1, "127.0.0.1", port, torch.device("cuda:0" if gpu else "cpu"))
    config = XLMRobertaConfig(max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, **sizes)
    head = HeadSpec("classification", "classification", ("0", "1"))
    encoder = AutoModel.from_config(config)
    model = Model(encoder, None, [head], [make_head(head, config, config.hidden_size, 0)])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    recipe = Recipe(learning_rate=1e-6, max_steps=steps + 1, batch_size=2, max_length=32, evaluate_every=1)
    rows = {"item": list(range(8)), "example": list(range(8)), "label": [0, 1] * 4}
    table = pa.table({name: pa.array(values, pa.int32()) for name, values in rows.items()})
    ids = pa.array([[0, *range(5, 21), 2]] * 8, pa.list_(pa.int32()))
    part = TrainPart("classification", "classification", table.append_column("input_ids", ids), recipe)
    store = Timed(folder / "resume")
    train(
        model,
        [part],
        recipe,
        Runtime(zero_stage=zero_stage, checkpoint_seconds=1e-6),
        ranks,
        dev_score=lambda: {"classification": 0.0},
        resume=store,
    )
    size = sum(file.stat().st_size for file in store.path.iterdir())
    store.clear()
    return {
        "parameters": parameters,
        "bytes": size,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "device": ranks.device.type,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where states are written (default: the temporary folder)")
    parser.add_argument("--vocabulary", type=int, default=250002)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--states", type=int, default=3)
    parser.add_argument("--zero-stage", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()
    sizes = {
        "vocab_size": arguments.vocabulary,
        "hidden_size": arguments.hidden,
        "num_hidden_layers": arguments.layers,
        "num_attention_heads": max(1, arguments.hidden // 64),
        "intermediate_size": 4 * arguments.hidden,
    }
    with tempfile.TemporaryDirectory(prefix="resume-", dir=arguments.folder) as folder:
        found = measure(Path(folder), sizes, arguments.states, arguments.zero_stage)
    median, cpu = statistics.median(found["seconds"]), statistics.median(found["cpu_seconds"])
    found |= {
        "median": median,
        "share": median / INTERVAL_SECONDS,
        "machine": platform.processor() or platform.machine(),
    }
    found |= {"cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    print(
        f"{found['parameters'] / 1e6:.0f} M parameters on {found['device']}: {found['bytes'] / 1e9:.2f} GB a state, "
        f"{median:.1f} s each, {cpu:.1f} s of them on the CPU ({found['bytes'] / median / 1e9:.2f} GB/s): "
        f"{100 * found['share']:.2f} % of {INTERVAL_SECONDS:.0f} s"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
