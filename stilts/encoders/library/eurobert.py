"""EuroBERT: Llama's layers with bidirectional attention. Its output layer is not tied to the input embeddings."""

from stilts.encoders.architectures import Architecture, Config, Published, register
from stilts.encoders.library._sizes import PAGE, fields


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
        pretrained_heads=({"bias": "lm_head.bias", "weight": "lm_head.weight"},),
        attention_matrices=_attention,
        feed_forward_matrices=3,
        published=(
            Published(
                "EuroBERT/EuroBERT-210m",
                fields(
                    "eurobert",
                    12,
                    768,
                    128256,
                    positions=8192,
                    num_attention_heads=12,
                    intermediate_size=3072,
                ),
                "39b51e15dd1f1a06f58b5cbf6a8a188cec60bd0e",
                seen=PAGE,
            ),
        ),
    )
)
