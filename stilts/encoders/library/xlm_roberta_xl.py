"""XLM-R XL and XXL: XLM-R with the norms before the layers."""

from stilts.encoders.architectures import Architecture, Published, register
from stilts.encoders.library._sizes import PAGE, fields
from stilts.encoders.library.roberta import HEAD, PAIR

register(
    Architecture(
        model_type="xlm-roberta-xl",
        pair=PAIR,
        after_padding=True,
        packs=True,
        pretrained_heads=(HEAD,),
        published=(
            Published(
                "facebook/xlm-roberta-xl",
                fields("xlm-roberta-xl", 36, 2560, 250880, positions=514),
                "aa5d120255845efeebc9b7f42822a1dd0f9ece9d",
                seen=PAGE,
            ),
            Published(
                "facebook/xlm-roberta-xxl",
                fields("xlm-roberta-xl", 48, 4096, 250880, positions=514),
                "refs/pr/2",
                seen=PAGE,
                without=("main",),
            ),
        ),
    )
)
