"""XLM: post-norm layers, and in some checkpoints an embedding of the language at every token."""

from typing import Any

from stilts.encoders.architectures import Architecture, Published, register
from stilts.encoders.library._sizes import PAGE, fields


def _fields(layers: int, width: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    return fields("xlm", layers, width, vocabulary, positions=512, pad=2, **more)


_XNLI_15 = _fields(12, 1024, 95000, n_langs=15, use_lang_emb=True)

register(
    Architecture(
        model_type="xlm",
        # Token types, if given, would be looked up as words.
        pair="CLS:0 $A:0 SEP:0 $B:0 SEP:0",
        languages="tokens",
        undeclared=("lang2id",),
        recomputes=False,
        transform=False,
        pretrained_heads=({"bias": "pred_layer.proj.bias", "weight": "pred_layer.proj.weight"},),
        names={"num_hidden_layers": "n_layers", "hidden_size": "emb_dim"},
        causal={"causal": True, "is_encoder": False},
        published=(
            Published(
                "FacebookAI/xlm-mlm-17-1280",
                _fields(16, 1280, 200000, n_langs=17, use_lang_emb=False),
                "19dd10826601ae8b88956b03876174b5d4381506",
                seen=PAGE,
            ),
            Published(
                "FacebookAI/xlm-mlm-100-1280",
                _fields(16, 1280, 200000, n_langs=100, use_lang_emb=False),
                "refs/pr/2",
                commit="73ecec9",
                seen=PAGE,
                without=("main",),
            ),
            Published("FacebookAI/xlm-mlm-xnli15-1024", _XNLI_15),
            Published("FacebookAI/xlm-mlm-tlm-xnli15-1024", _XNLI_15, "main", seen=PAGE),
        ),
    )
)
