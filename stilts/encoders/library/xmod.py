"""X-MOD: XLM-R with an adapter per language in every layer, chosen by the language of each sequence.

Fine-tuning leaves the embeddings and the adapters as they are, so that what it learns in one language works with the
adapters of the others (Pfeiffer et al. 2022, section 4, and the checkpoint's model card).
"""

from stilts.encoders.architectures import Architecture, Config, Published, register
from stilts.encoders.library._sizes import PAGE, fields
from stilts.encoders.library.roberta import HEAD, PAIR


def _adapters(config: Config) -> tuple[int, int]:
    """The adapter of a sequence's language, and those of the other languages."""
    width, layers = config.get("hidden_size", 768), config.get("num_hidden_layers", 12)
    adapter = 2 * width * (width // int(config.get("adapter_reduction_factor", 2)))
    languages = config.get("languages") or ["en_XX"]
    return layers * adapter, layers * adapter * (len(languages) - 1)


register(
    Architecture(
        model_type="xmod",
        pair=PAIR,
        after_padding=True,
        languages="sequences",
        pretrained_heads=(HEAD,),
        extra=_adapters,
        frozen=r"^embeddings\.|\.adapter_modules\.|\.adapter_layer_norm\.",
        published=(
            Published(
                "facebook/xmod-base",
                # 81 languages by the model's card.
                fields("xmod", 12, 768, 250002, positions=514, languages=[str(number) for number in range(81)]),
                "6c576d13b71e9662f746dd8efaea2dd81ad72070",
                seen=PAGE,
            ),
        ),
    )
)
