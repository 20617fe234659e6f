"""The config.json fields of published checkpoints that planning reads."""

from typing import Any

PAGE = "2026-11, the checkpoint's hub page"
"""When and by what a revision was seen to hold safetensors."""


def fields(
    model_type: str, layers: int, width: int, vocabulary: int, *, positions: int | None, pad: int = 1, **more: Any
) -> dict[str, Any]:
    """Fields by their usual names; `positions=None` where the configuration has no table of positions."""
    return {
        "model_type": model_type,
        "num_hidden_layers": layers,
        "hidden_size": width,
        "vocab_size": vocabulary,
        "pad_token_id": pad,
        **({} if positions is None else {"max_position_embeddings": positions}),
        **more,
    }


_NLI = {"learning_rate": 2e-5, "epochs": 3, "batch_size": 32, "warmup": 0.06}
_TAGS = {"learning_rate": 2e-5, "epochs": 10, "batch_size": 32}
_ANSWERS = {"learning_rate": 3e-5, "epochs": 3, "batch_size": 32, "weight_decay": 1e-4}
NLU_EVALS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("xnli", "mnli"), _NLI),
    **dict.fromkeys(("udpos", "panx"), _TAGS),
    **dict.fromkeys(("squad", "tydiqa"), _ANSWERS),
    "pawsx": {"learning_rate": 2e-5, "epochs": 2, "batch_size": 32},
}
"""How mGTE and mmBERT were fine-tuned for their published scores on XTREME, by training task."""
NLU_EVALS_SOURCE = "the scripts of izhx/nlu-evals at b8193ba, which mGTE's authors wrote and mmBERT's used"
