"""RemBERT: small input embeddings, and an output layer that was used in pretraining and not published.

Its masked language modelling head therefore starts afresh on the input embeddings.
"""

from stilts.encoders.architectures import Architecture, Published, register
from stilts.encoders.library._sizes import PAGE, fields

register(
    Architecture(
        model_type="rembert",
        published=(
            Published(
                "google/rembert",
                fields("rembert", 32, 1152, 250300, positions=512, pad=0, input_embedding_size=256),
                "refs/pr/3",
                commit="e9873b1",
                seen=PAGE,
                without=("main",),
            ),
        ),
    )
)
