"""ModernBERT and mmBERT: rotary positions, gated layers, and a sliding window in two layers of three."""

from stilts.encoders.architectures import Architecture, Config, Published, register
from stilts.encoders.library._sizes import NLU_EVALS, NLU_EVALS_SOURCE, PAGE, fields


def _windows(config: Config) -> tuple[int, int]:
    """Two layers of three by default; a window reaches half of `local_attention` to each side."""
    count, every = config.get("num_hidden_layers", 22), config.get("global_attn_every_n_layers", 3)
    kinds = config.get("layer_types") or ["sliding_attention" if i % every else "" for i in range(count)]
    return list(kinds).count("sliding_attention"), 2 * (config.get("local_attention", 128) // 2) + 1


register(
    Architecture(
        model_type="modernbert",
        pair="CLS:0 $A:0 SEP:0 $B:0 SEP:0",
        epsilon="norm_eps",
        optional_biases=True,
        rotary=True,
        packs=True,
        windowed=_windows,
        pretrained_heads=(
            {"dense": "head.dense", "layer_norm": "head.norm", "bias": "decoder.bias", "weight": "decoder.weight"},
        ),
        feed_forward_matrices=3,
        published=(
            Published(
                "jhu-clsp/mmBERT-base",
                fields("modernbert", 22, 768, 256000, positions=8192, pad=0, intermediate_size=1152),
                "ca5b84ba39fb0531402e727a3d9a50626d9f522c",
                seen=PAGE,
                without=("main",),
                recipes=NLU_EVALS,
                recipe_source=NLU_EVALS_SOURCE,
            ),
            Published(
                "jhu-clsp/mmBERT-small",
                fields("modernbert", 22, 384, 256000, positions=8192, pad=0, intermediate_size=1152),
                "461475a70b192efcbb760df5541d3825b07c4d5b",
                seen=PAGE,
                without=("main",),
                recipes=NLU_EVALS,
                recipe_source=NLU_EVALS_SOURCE,
            ),
        ),
    )
)
