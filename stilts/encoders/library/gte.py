"""GTE multilingual: rotary positions and gated layers."""

from stilts.encoders.architectures import Architecture, Published, register
from stilts.encoders.library._sizes import NLU_EVALS, NLU_EVALS_SOURCE, PAGE, fields

register(
    Architecture(
        model_type="gte",
        pair="CLS:0 $A:0 SEP:0 SEP:0 $B:0 SEP:0",
        rotary=True,
        packs=True,
        # transformers names the norm of the head in memory and on disk differently.
        pretrained_heads=tuple(
            {
                "dense": "lm_head.dense",
                "layer_norm": norm,
                "bias": "lm_head.decoder.bias",
                "weight": "lm_head.decoder.weight",
            }
            for norm in ("lm_head.norm", "lm_head.layer_norm")
        ),
        feed_forward_matrices=3,
        published=(
            Published(
                "Alibaba-NLP/gte-multilingual-mlm-base",
                fields("gte", 12, 768, 250048, positions=8192),
                "refs/pr/2",
                seen=PAGE,
                without=("main",),
                recipes=NLU_EVALS,
                recipe_source=NLU_EVALS_SOURCE,
            ),
        ),
    )
)
