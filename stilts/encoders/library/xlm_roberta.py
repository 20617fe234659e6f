"""XLM-R, and the checkpoints that share its architecture: InfoXLM, XLM-V, multilingual E5 and BGE-M3."""

from stilts.encoders.architectures import Architecture, Published, register
from stilts.encoders.library._sizes import PAGE, fields
from stilts.encoders.library.roberta import HEAD, PAIR

_BASE = fields("xlm-roberta", 12, 768, 250002, positions=514)
_LARGE = fields("xlm-roberta", 24, 1024, 250002, positions=514)

register(
    Architecture(
        model_type="xlm-roberta",
        pair=PAIR,
        after_padding=True,
        packs=True,
        pretrained_heads=(HEAD,),
        published=(
            Published("FacebookAI/xlm-roberta-base", _BASE, "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089", seen=PAGE),
            Published("FacebookAI/xlm-roberta-large", _LARGE, "c23d21b0620b635a76227c604d44e43a9f0ee389", seen=PAGE),
            Published("microsoft/infoxlm-base", _BASE, "refs/pr/1", seen=PAGE, without=("main",)),
            Published(
                "microsoft/infoxlm-large",
                _LARGE,
                "dfcde1348c1f1206ec09d2bb54ff42776ba33334",
                seen=PAGE,
                without=("main",),
            ),
            Published(
                "facebook/xlm-v-base",
                fields("xlm-roberta", 12, 768, 901629, positions=514),
                "643a987aa713ecd3c9a26a801fc715aa7f56b409",
                seen=PAGE,
                without=("68c75dd7733d2640b3a98114e3e94196dc543fe1",),
            ),
            Published("intfloat/multilingual-e5-base", _BASE, "d128750597153bb5987e10b1c3493a34e5a4502a", seen=PAGE),
            Published("intfloat/multilingual-e5-large", _LARGE, "3d7cfbdacd47fdda877c5cd8a79fbcc4f2a574f3"),
            Published(
                "BAAI/bge-m3",
                {**_LARGE, "max_position_embeddings": 8194},
                "9a0624b896d81da7492a910ffa53731274b6cf3d",
                seen=PAGE,
            ),
        ),
    )
)
