"""BERT and its multilingual checkpoints (mBERT, LaBSE)."""

from stilts.encoders.architectures import Architecture, Published, register
from stilts.encoders.library._sizes import PAGE, fields

HEAD = {
    "dense": "cls.predictions.transform.dense",
    "layer_norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
    "weight": "cls.predictions.decoder.weight",
}

register(
    Architecture(
        model_type="bert",
        packs=True,
        pretrained_heads=(HEAD,),
        published=(
            Published(
                "google-bert/bert-base-multilingual-cased",
                fields("bert", 12, 768, 119547, positions=512, pad=0),
                "3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
                seen=PAGE,
            ),
            # A BERT with XLM-R's tokenizer.
            Published(
                "intfloat/multilingual-e5-small",
                fields("bert", 12, 384, 250037, positions=512, pad=0),
                "614241f622f53c4eeff9890bdc4f31cfecc418b3",
                seen=PAGE,
            ),
            Published(
                "sentence-transformers/LaBSE",
                fields("bert", 12, 768, 501153, positions=512, pad=0),
                "836121a0533e5664b21c7aacc5d22951f2b8b25b",
            ),
        ),
    )
)
