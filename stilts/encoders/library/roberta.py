"""RoBERTa, the English-only model that XLM-R follows."""

from stilts.encoders.architectures import Architecture, Published, register
from stilts.encoders.library._sizes import PAGE, fields

HEAD = {
    "dense": "lm_head.dense",
    "layer_norm": "lm_head.layer_norm",
    "bias": "lm_head.bias",
    "weight": "lm_head.decoder.weight",
}
PAIR = "CLS:0 $A:0 SEP:0 SEP:0 $B:0 SEP:0"

register(
    Architecture(
        model_type="roberta",
        pair=PAIR,
        after_padding=True,
        packs=True,
        pretrained_heads=(HEAD,),
        published=(
            Published("FacebookAI/roberta-base", fields("roberta", 12, 768, 50265, positions=514)),
            Published(
                "FacebookAI/roberta-large",
                fields("roberta", 24, 1024, 50265, positions=514),
                "722cf37b1afa9454edce342e7895e588b6ff1d59",
                seen=PAGE,
            ),
        ),
    )
)
