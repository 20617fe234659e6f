"""The contenders of `step.py`: each trains in a process of its own, some steps at a time, when it is told to.

`stilts` is the training loop of a stage. `packed` is a plain PyTorch loop that trains the same packed rows, made before
it starts, with the whole model in torch's fused AdamW. `default`, `maximum` and `flattening` are transformers' Trainer
with padding to the longest sequence of a batch, with padding to the maximum length, and with the padding-free collator.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from workload import DATA, ITEMS, MASK, MASKED, SPECIAL, Data, build, examples, gemm_flops, stilts_model

MICRO_TOKENS = 8192
"""Padded tokens of a micro-batch; every contender has the same."""
MLM_TOKENS = 2048
"""The same for transformers' head of masked language modelling, which scores every token against the vocabulary."""
STEPS = 100_000
"""More steps than a contender is told to train."""


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        data: name of the data in DATA.
        model: name in MODELS, or a folder.
        batch: examples per optimizer step.
    """

    data: str
    model: str
    batch: int
    threads: int


class Pace:
    """Makes a contender train a number of steps whenever its parent asks for it, and says how long they took.

    The parent writes a number of steps, on a line, to the process; the process answers with a line of JSON. It ends
    when its input does.
    """

    def __init__(self) -> None:
        self.left, self.tokens, self.began, self.cpu = 0, 0, 0.0, 0.0
        self._answers = sys.stdout
        sys.stdout = sys.stderr

    def step(self, tokens: int) -> None:
        """Note that a step of this number of real tokens has ended; waits if it was the last that was asked for."""
        self.left -= 1
        self.tokens += tokens
        if self.left <= 0:
            self.wait()

    def wait(self) -> None:
        """Answer with the figures of the steps since the last answer, and wait for the next number."""
        answer = {
            "seconds": time.perf_counter() - self.began,
            "cpu_seconds": time.process_time() - self.cpu,
            "tokens": self.tokens,
            "peak_bytes": peak_bytes(),
        }
        print(json.dumps(answer), file=self._answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        self.left, self.tokens = int(line), 0
        self.began, self.cpu = time.perf_counter(), time.process_time()


def peak_bytes() -> int:
    """Most memory that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def rows_of(case: Case) -> list[dict[str, Any]]:
    from workload import configuration

    return examples(DATA[case.data], max(ITEMS, 8 * case.batch), configuration(case.model).vocab_size)


def run_stilts(case: Case, pace: Pace) -> None:
    import pyarrow as pa
    import torch

    from stilts.data.batching import Sampler
    from stilts.experiment.recipe import Recipe
    from stilts.experiment.runtime import Runtime
    from stilts.train.loop import train
    from stilts.train.ranks import Ranks, connect
    from stilts.train.step_schedule import TrainPart

    data, rows = DATA[case.data], rows_of(case)
    recipe = Recipe(
        max_steps=STEPS, batch_size=case.batch, max_length=data.max_length, precision="fp32", selection="last"
    )
    order = Sampler(len(rows), case.batch, recipe.seed)
    lengths = np.array([len(row["input_ids"]) for row in rows])
    done = [0]

    class PacedRanks(Ranks):
        """A single rank that waits for the parent after its steps: `start_sum` is the last call of a step."""

        def start_sum(self, *values: Any) -> Callable[[], list[float]]:
            sums = super().start_sum(*values)
            tokens = int(lengths[order.step(done[0])].sum())
            done[0] += 1
            pace.step(tokens)
            return sums

    connect(0, 1, "127.0.0.1", 0, torch.device("cpu"))
    ranks = PacedRanks(0, 1, torch.device("cpu"))
    model = stilts_model(case.model, data)
    part = TrainPart("task", "head", pa.Table.from_pylist(rows), recipe)
    del rows
    pace.wait()
    train(model, [part], recipe, Runtime(tokens_per_micro_batch=MICRO_TOKENS), ranks)


def run_packed(case: Case, pace: Pace) -> None:
    import pyarrow as pa
    import torch

    from stilts.train.features import Features

    data, rows = DATA[case.data], rows_of(case)
    model = stilts_model(case.model, data)
    features = Features.of(pa.Table.from_pylist(rows), data.family)
    del rows
    steps = list(_packed_steps(case, features, model))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    model.train()
    pace.wait()
    while True:
        for batches, units, tokens in steps:
            for batch in batches:
                (model(batch) / units).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            pace.step(tokens)


def _packed_steps(case: Case, features: Any, model: Any) -> Iterator[tuple[list[Any], int, int]]:
    """The micro-batches of some steps, their number of loss terms and of real tokens."""
    from workload import Tokenizer

    from stilts.data.batching import split_packed
    from stilts.experiment.recipe import Recipe
    from stilts.train.batch import assemble
    from stilts.train.heads import head_of
    from stilts.train.heads.base import StepContext

    data = DATA[case.data]
    for number in range(min(8, len(features) // case.batch)):
        chosen = features.take(np.arange(number * case.batch, (number + 1) * case.batch))
        context = StepContext(Recipe(), Tokenizer(), model.config.vocab_size, (0, number))
        chosen = head_of(data.family).step(chosen, context)
        split = split_packed(chosen.ids.lengths.tolist(), chosen.together.tolist(), data.max_length, MICRO_TOKENS, 1)[0]
        batches = [assemble(chosen, rows, model.config.pad_token_id, True, head="head") for rows in split]
        yield batches, chosen.units, int(chosen.ids.offsets[-1])


def run_trainer(case: Case, pace: Pace, collation: str) -> None:
    """transformers' Trainer, with `collation` one of default, maximum, flattening."""
    import torch
    import transformers
    from transformers import Trainer, TrainerCallback, TrainingArguments

    transformers.logging.set_verbosity_error()
    data = DATA[case.data]
    rows = rows_of(case)
    heads = {
        "classification": transformers.AutoModelForSequenceClassification,
        "tagging": transformers.AutoModelForTokenClassification,
        "span_qa": transformers.AutoModelForQuestionAnswering,
        "mlm": transformers.AutoModelForMaskedLM,
    }
    model = build(case.model, heads[data.family], **({"num_labels": data.labels} if data.labels else {}))
    seen = [0]
    collator = _flattening(data, model) if collation == "flattening" else _padding(data, collation == "maximum")

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        seen[0] += sum(len(row["input_ids"]) for row in batch)
        return collator(batch)

    class Paced(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            pace.wait()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            tokens, seen[0] = seen[0], 0
            pace.step(tokens)

    most = (MLM_TOKENS if data.family == "mlm" else MICRO_TOKENS) // data.max_length
    per_device = min(case.batch, 2 ** int(np.log2(most)))
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=STEPS,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=case.batch // per_device,
        learning_rate=2e-5,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=True,
    )
    Trainer(model, arguments, train_dataset=rows, data_collator=collate, callbacks=[Paced()]).train()


Collator = Callable[[list[dict[str, Any]]], dict[str, Any]]


def _padding(data: Data, maximum: bool) -> Collator:
    """A collator that pads to the longest sequence of a batch, or to the maximum length."""
    import torch

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = data.max_length if maximum else max(len(row["input_ids"]) for row in batch)
        ids = torch.full((len(batch), width), SPECIAL["pad_token_id"])
        labels = torch.full((len(batch), width), -100)
        for i, row in enumerate(batch):
            length = len(row["input_ids"])
            ids[i, :length] = torch.tensor(row["input_ids"])
            labels[i, :length] = _token_labels(data, row)
        inputs = {"attention_mask": (ids != SPECIAL["pad_token_id"]).long()}
        if data.family == "mlm":
            ids = torch.where(labels == -100, ids, MASK)
        inputs["input_ids"] = ids
        if data.family in ("tagging", "mlm"):
            return {**inputs, "labels": labels}
        if data.family == "classification":
            return {**inputs, "labels": torch.tensor([row["label"] for row in batch])}
        ends = {"start_positions": [row["start"] for row in batch], "end_positions": [row["end"] for row in batch]}
        return inputs | {name: torch.tensor(values) for name, values in ends.items()}

    return collate


def _token_labels(data: Data, row: dict[str, Any]) -> Any:
    """Labels of the tokens of a row, int64 [length]; -100 where a token has none."""
    import torch

    ids = torch.tensor(row["input_ids"])
    labels = torch.full_like(ids, -100)
    if data.family == "tagging":
        labels[row["positions"]] = torch.tensor(row["labels"])
    elif data.family == "mlm":
        masked = torch.rand(len(ids)) < MASKED
        labels[masked] = ids[masked]
    return labels


FLATTENED = ("tagging", "mlm")
"""Families whose heads in transformers can read several sequences in one row."""


def _flattening(data: Data, model: Any) -> Collator:
    """transformers' padding-free collator, with a block-diagonal mask.

    Without flash attention, transformers lets the tokens of bidirectional encoders attend to all sequences of the row.
    """
    from transformers import DataCollatorWithFlattening

    first = model.config.pad_token_id + 1 if model.config.model_type == "xlm-roberta" else 0
    flatten = DataCollatorWithFlattening(return_seq_idx=True, position_ids_start=first)

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        rows = []
        for row in batch:
            labels = _token_labels(data, row).tolist()
            ids = row["input_ids"]
            if data.family == "mlm":
                ids = [MASK if label != -100 else token for token, label in zip(ids, labels, strict=True)]
            rows.append({"input_ids": ids, "labels": labels})
        flat = flatten(rows, return_tensors="pt")
        sequence = flat.pop("seq_idx")
        flat["attention_mask"] = sequence[:, None, :, None] == sequence[:, None, None, :]
        return flat

    return collate


def run_gemm(case: Case, pace: Pace) -> None:
    """Products of square matrices: a "step" answers with operations in place of tokens."""
    import torch

    pace.wait()
    while True:
        flops = gemm_flops(2048, torch.device("cpu"), torch.float32, seconds=0.3)
        elapsed = time.perf_counter() - pace.began
        pace.step(int(flops * elapsed))


def main() -> None:
    """Run the contender and the case that the arguments name."""
    import torch

    contender, case = sys.argv[1], Case(**json.loads(sys.argv[2]))
    torch.set_num_threads(case.threads)
    pace = Pace()
    if contender == "stilts":
        run_stilts(case, pace)
    elif contender == "packed":
        run_packed(case, pace)
    elif contender == "gemm":
        run_gemm(case, pace)
    else:
        run_trainer(case, pace, contender)


def arguments_of(contender: str, case: Case) -> list[str]:
    """The arguments of a process that runs a contender."""
    return [sys.executable, __file__, contender, json.dumps(asdict(case))]


if __name__ == "__main__":
    main()
