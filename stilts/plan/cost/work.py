"""Work: what the ranks of a trial compute, move and send for one stage, counted before anything runs.

Arithmetic. One token costs 6 N + 12 L h s floating-point operations in a forward and backward pass, where N is the
number of parameters of the layers, L the number of layers, h the hidden size and s the length of its row (Kaplan et al.
2020, section 2.1, with the attention term for bidirectional attention). The forward pass alone costs a third of that.
Example: XLM-R Large takes 1.85 GFLOP per token at s = 128. Masked language modelling also computes the output layer,
which is as large as the embeddings it is tied to, for every token that it predicts.

Memory. The element-wise operations of a layer read and write `ACTIVATION_TRAFFIC` bytes per token and unit of width.
The optimizer and the gradients move a number of bytes per trained parameter, once a step and once a micro-batch. Of the
embeddings, only the rows that occur in the stage's data are trained, unless a masked language modelling head reads them
all.

Launches. Each layer launches a number of operations in a micro-batch, whatever its size.

Communication. ZeRO's volumes are those of ring collectives (Rajbhandari et al. 2020, section 7), in the precisions of
`train/deepspeed.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stilts.encoders.sizes import Shape
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import Part, StageSpec
from stilts.tasks.base import get_task
from stilts.tasks.families import get_family

LAUNCHES_PER_LAYER = 75
"""Operations of a layer in a forward and backward pass (counted for XLM-R in transformers 5)."""
LAUNCHES_PER_FORWARD_LAYER = 14
"""Operations of a layer in a forward pass without gradients."""
LAUNCHES_PER_PASS = 25
"""Operations of embeddings, head and loss in one pass."""
LAUNCHES_PER_STEP = 100
"""Operations of one optimizer step on flat buffers, and time of the host for a batch, in operations."""
DEEPSPEED_LAUNCHES_PER_LAYER = 100
"""Operations of DeepSpeed's optimizer step for a layer: it is a loop over the tensors of the model."""
GATHER_LAUNCHES_PER_LAYER = 100
"""Operations of a layer and pass with which ZeRO 3 fetches and releases its weights."""

ACTIVATION_TRAFFIC = {"bf16": 250.0, "fp32": 500.0}
"""Bytes read and written per token, layer and unit of width in a forward and backward pass, by precision."""
GRADIENT_TRAFFIC = {"bf16": 22.0, "fp32": 20.0}
"""Bytes per trained parameter and micro-batch: weights are read in both passes, gradients written and added up."""
OPTIMIZER_TRAFFIC = {"bf16": 42.0, "fp32": 36.0}
"""Bytes per trained parameter and step on flat buffers: norm and clipping, AdamW on fp32 weights and both moments,
rounding, zeroing. ZeRO divides them by the number of ranks."""
DEEPSPEED_TRAFFIC = 1.7
"""How many times that DeepSpeed's optimizer moves."""
LOGIT_TRAFFIC = 20.0
"""Bytes per predicted token and entry of the vocabulary, of the logits of masked language modelling."""

PACKED = 0.93
"""Share of the tokens of packed rows that is not padding."""
PADDED = 0.8
"""Share of the tokens of padded micro-batches that is not padding."""
EVALUATION_TOKENS = 16384
"""Tokens of one forward pass of an evaluation (`evaluate.predict.TOKENS_PER_BATCH`)."""
BUCKET = 5e7
"""Parameters in one message of ZeRO 0 to 2 (`train.deepspeed.BUCKET`)."""
RECOMPUTED = 4 / 3
"""Factor of gradient checkpointing: a second forward pass."""
HEAPS = 40.0, 0.42
"""K and beta of Heaps' law, K n ** beta distinct subwords in n subwords of one language."""


class Pass(NamedTuple):
    """Work of one rank in passes over the model.

    Attributes:
        flops: floating-point operations, those on padding included.
        traffic: bytes that are read from and written to its memory, beside those of matrix products.
        launches: operations that the host starts.
        sent: bytes that the rank sends to other ranks.
        messages: number of collective operations.
    """

    flops: float = 0.0
    traffic: float = 0.0
    launches: float = 0.0
    sent: float = 0.0
    messages: float = 0.0

    def times(self, count: float) -> "Pass":
        return Pass(*(count * figure for figure in self))


NOTHING = Pass()


def total(passes: Iterable[Pass]) -> Pass:
    """The sum of the work of several passes."""
    found = list(passes)
    return Pass(*map(sum, zip(*found, strict=True))) if found else NOTHING


@dataclass(frozen=True)
class Work:
    """Work of one rank on one stage.

    Attributes:
        precision: of the arithmetic, bf16 or fp32.
        training: all optimizer steps.
        watching: the forward passes of dev evaluations during training.
        evaluation: the forward passes of the stage's own evaluations.
        watched, predictions: rows whose predictions are decoded and scored on the host, during and after training.
        moved: bytes of weights that are loaded and saved.
        starts: 1 if a model is loaded, else 0.
    """

    precision: str = "bf16"
    training: Pass = NOTHING
    watching: Pass = NOTHING
    evaluation: Pass = NOTHING
    watched: float = 0.0
    predictions: float = 0.0
    moved: float = 0.0
    starts: int = 0


NO_WORK = Work()


def training_work(spec: StageSpec, size: Shape, seen: Sequence[tuple[Part, float, float]], runtime: Runtime) -> Pass:
    """Work of one rank in all optimizer steps of a stage.

    Args:
        seen: the examples and tokens of each task, over all epochs.
    """
    parameters = trained_parameters(spec, size)
    return total(
        _step(spec, part, size, tokens * spec.recipe.batch_size / examples, tokens / examples, parameters, runtime)
        .times(examples / spec.recipe.batch_size)
        for part, examples, tokens in seen
        if examples > 0 and tokens > 0
    )  # fmt: skip


def trained_parameters(spec: StageSpec, size: Shape) -> float:
    """Parameters that a stage trains: all layers, and the embeddings of the subwords that its data uses."""
    if any(_predicted_share(part) for part in spec.parts):
        return size.parameters
    scale, exponent = HEAPS
    words = sum(
        scale * (ref.tokens or get_task(ref.task).tokens_per_row * (ref.rows or 1)) ** exponent
        for part in spec.parts
        for ref in part.train
    )
    return size.layer_parameters + size.embedding_parameters * min(1.0, words / size.vocabulary)


def _predicted_share(part: Part) -> float:
    """Share of the tokens that masked language modelling predicts over the whole vocabulary; 0 of other tasks."""
    task = get_task(part.task)
    return get_family(task.family).predicted_share(task, part.recipe)


def _step(
    spec: StageSpec, part: Part, size: Shape, tokens: float, mean: float, parameters: float, runtime: Runtime
) -> Pass:
    """Work of one rank in one optimizer step on `tokens` tokens of all ranks, in sequences of `mean` tokens."""
    precision, ranks = spec.recipe.precision, runtime.ranks
    predicted = _predicted_share(part) * tokens / ranks
    padded, width, micro = _micro_batches(tokens / ranks, mean, part.recipe.max_length, size.packs, runtime)
    again = RECOMPUTED if runtime.gradient_checkpointing else 1.0
    deepspeed = runtime.uses_deepspeed(ranks)
    optimizer = OPTIMIZER_TRAFFIC[precision] * (DEEPSPEED_TRAFFIC if deepspeed else 1.0)
    gather = GATHER_LAUNCHES_PER_LAYER if runtime.zero_stage == 3 else 0
    sent, messages = _communication(parameters, size.layers, micro, precision, runtime)
    return Pass(
        flops=again * padded * size.flops_per_token(width, training=True) + 6 * predicted * size.embedding_parameters,
        traffic=again * padded * size.layers * size.width * ACTIVATION_TRAFFIC[precision]
        + predicted * size.vocabulary * LOGIT_TRAFFIC
        + micro * parameters * GRADIENT_TRAFFIC[precision]
        + optimizer * parameters / (ranks if runtime.zero_stage > 0 else 1),
        launches=micro * (size.layers * (again * LAUNCHES_PER_LAYER + gather) + LAUNCHES_PER_PASS)
        + LAUNCHES_PER_STEP
        + (DEEPSPEED_LAUNCHES_PER_LAYER * size.layers if deepspeed else 0),
        sent=sent,
        messages=messages,
    )


def _micro_batches(
    tokens: float, mean: float, max_length: int, packs: bool, runtime: Runtime
) -> tuple[float, float, int]:
    """Tokens of one rank with padding, length of a row, and number of micro-batches, in one step.

    Args:
        tokens: of one rank, without padding.
        mean: mean length of a sequence.
    """
    budget = runtime.most_tokens(gpu=True)
    if not packs:
        padded = tokens / PADDED
        return padded, mean, math.ceil(padded / budget)
    if tokens <= max_length:
        return tokens, tokens, 1
    rows = math.ceil(tokens / PACKED / max_length)
    return float(rows * max_length), float(max_length), math.ceil(rows / max(1, budget // max_length))


def _communication(parameters: float, layers: int, micro: int, precision: str, runtime: Runtime) -> tuple[float, float]:
    """Bytes that one rank sends in one step, and the number of collective operations.

    Gradients are reduced in fp32. ZeRO 1 reduces them once a step, 2 and 3 in every micro-batch. ZeRO 1 and 2 gather
    the new weights once a step, ZeRO 3 gathers all weights in both passes of every micro-batch.
    """
    ranks = runtime.ranks
    if ranks == 1:
        return 0.0, 0.0
    gradients, weights = 4.0, 2.0 if precision == "bf16" else 4.0
    buckets = math.ceil(parameters / BUCKET)
    stage = max(runtime.zero_stage, 1) if precision == "bf16" else runtime.zero_stage
    volumes = {
        0: (2 * gradients, 2.0 * buckets),
        1: (gradients + weights, 2.0 * buckets),
        2: (micro * gradients + weights, (micro + 1.0) * buckets),
        3: (micro * (gradients + 2 * weights), 3.0 * micro * layers),
    }
    volume, messages = volumes[stage]
    return volume * parameters * (ranks - 1) / ranks, messages + 2.0  # the norm of the gradient, the losses


def reading_work(tokens: float, length: float, size: Shape, precision: str, ranks: int, share: float = 1.0) -> Pass:
    """Work of one rank in the forward passes over the examples of one evaluation.

    Args:
        tokens: of all examples.
        length: mean number of tokens of a sequence.
        share: of the layers that are computed.
    """
    if tokens <= 0:
        return NOTHING
    batches = math.ceil(tokens / EVALUATION_TOKENS)
    mine = math.ceil(batches / ranks)
    own = tokens * mine / batches
    layers = size.layers * share
    return Pass(
        flops=share * own * size.flops_per_token(length, training=False),
        traffic=own * layers * size.width * ACTIVATION_TRAFFIC[precision] / 3,
        launches=mine * (layers * LAUNCHES_PER_FORWARD_LAYER + LAUNCHES_PER_PASS),
    )
