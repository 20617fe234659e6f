"""DeBERTa-v2, DeBERTa-v3 and mDeBERTa: attention to relative distances.

DeBERTa-v3 and mDeBERTa were pretrained to find replaced tokens, so that their masked language modelling head is weak.
"""

from stilts.encoders.architectures import Architecture, Config, Published, register
from stilts.encoders.library._sizes import PAGE, fields
from stilts.encoders.library.bert import HEAD


def _attention(config: Config) -> float:
    """Query, key, value and output, and projections of distances where they are not shared with key and query."""
    if not config.get("relative_attention") or config.get("share_att_key"):
        return 4
    return 4 + sum(kind in (config.get("pos_att_type") or ()) for kind in ("c2p", "p2c"))


def _distances(config: Config) -> tuple[int, int]:
    """The table of relative distances."""
    if not config.get("relative_attention"):
        return 0, 0
    sizes = (config.get("position_buckets", -1), config.get("max_relative_positions", -1))
    rows = next((size for size in sizes if size > 0), config.get("max_position_embeddings", 512))
    return 2 * rows * int(config.get("hidden_size", 768)), 0


register(
    Architecture(
        model_type="deberta-v2",
        undeclared=(
            *("attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "embedding_size", "norm_rel_ebd"),
            *("position_buckets", "share_att_key"),
        ),
        attention_matrices=_attention,
        extra=_distances,
        pretrained_heads=(
            {
                "dense": "lm_predictions.lm_head.dense",
                "layer_norm": "lm_predictions.lm_head.LayerNorm",
                "bias": "lm_predictions.lm_head.bias",
            },
            HEAD,
        ),
        published=(
            Published(
                "microsoft/mdeberta-v3-base",
                fields(
                    "deberta-v2",
                    12,
                    768,
                    251000,
                    positions=512,
                    pad=0,
                    relative_attention=True,
                    share_att_key=True,
                    position_buckets=256,
                    position_biased_input=False,
                ),
                "faf660b811036d7b6dfc53aacfe5281447d4e2c6",
                seen=PAGE,
                without=("a0484667b22365f84929a935b5e50a51f71f159d",),
            ),
        ),
    )
)
