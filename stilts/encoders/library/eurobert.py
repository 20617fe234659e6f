"""EuroBERT: Llama's layers with bidirectional attention. Its output layer is not tied to the input embeddings."""

from typing import Any

from stilts.encoders.architectures import Architecture, Config, Published, register
from stilts.encoders.library._sizes import PAGE, fields


def _fields(layers: int, width: int, inner: int, heads: int, shared: int) -> dict[str, Any]:
    return fields(
        "eurobert",
        layers,
        width,
        128256,
        positions=8192,
        pad=128001,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=shared,
    )


def _attention(config: Config) -> float:
    """Query and output are square; key and value are narrower where query heads share them."""
    heads = config.get("num_attention_heads", 12)
    return 2 + 2 * (config.get("num_key_value_heads") or heads) / heads


register(
    Architecture(
        model_type="eurobert",
        pair="CLS:0 $A:0 SEP:0 $B:0 SEP:0",
        transform=False,
        optional_biases=True,
        tied=False,
        rotary=True,
        packs=True,
        pretrained_heads=({"bias": "lm_head.bias", "weight": "lm_head.weight"},),
        attention_matrices=_attention,
        feed_forward_matrices=3,
        published=(
            Published(
                "EuroBERT/EuroBERT-210m",
                _fields(12, 768, 3072, 12, 12),
                "39b51e15dd1f1a06f58b5cbf6a8a188cec60bd0e",
                seen=PAGE,
            ),
            Published("EuroBERT/EuroBERT-610m", _fields(26, 1152, 4096, 18, 6)),
            Published("EuroBERT/EuroBERT-2.1B", _fields(32, 2304, 6144, 18, 6), "main", seen=PAGE),
        ),
    )
)
