"""XLNet: relative positions, and the class token at the end.

It was pretrained on permutations, without a mask token in its input: a masked language modelling head starts afresh.
"""

from stilts.encoders.architectures import Architecture, Config, Published, register
from stilts.encoders.library._sizes import PAGE, fields


def _attention(config: Config) -> float:
    """Query, key, value, output and relative positions."""
    return 5


register(
    Architecture(
        model_type="xlnet",
        single="$A:0 SEP:0 CLS:2",
        pair="$A:0 SEP:0 $B:1 SEP:1 CLS:2",
        class_last=True,
        relative=True,
        types=True,
        recomputes=False,
        options={"use_mems": False},
        names={"num_hidden_layers": "n_layer", "hidden_size": "d_model", "intermediate_size": "d_inner"},
        attention_matrices=_attention,
        causal={"attn_type": "uni"},
        published=(
            Published(
                "xlnet/xlnet-base-cased",
                fields("xlnet", 12, 768, 32000, positions=None, pad=5),
                "refs/pr/1",
                commit="364e6ee",
                seen=PAGE,
                without=("main",),
            ),
            Published(
                "xlnet/xlnet-large-cased",
                fields("xlnet", 24, 1024, 32000, positions=None, pad=5),
                "refs/pr/2",
                commit="d090d2d",
                seen=PAGE,
                without=("main",),
            ),
        ),
    )
)
