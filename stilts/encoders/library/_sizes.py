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
