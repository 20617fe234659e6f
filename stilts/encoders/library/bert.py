"""BERT and its multilingual checkpoints: mBERT, LaBSE, and two with XLM-R's tokenizer (E5 small, MiniLM).

Those two keep BERT's default `pad_token_id` 0, which is `<s>` in their tokenizer. Padding is known by its place in the
batch and not by its id, so that nothing is padded by mistake. The embedding of `<s>` gets no gradient, as in
transformers, whose embedding has 0 as its padding index.
"""

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
            Published(
                "intfloat/multilingual-e5-small",
                fields("bert", 12, 384, 250037, positions=512, pad=0),
                "614241f622f53c4eeff9890bdc4f31cfecc418b3",
                seen=PAGE,
            ),
            Published(
                "microsoft/Multilingual-MiniLM-L12-H384",
                fields("bert", 12, 384, 250037, positions=512, pad=0),
                recipes={
                    "xnli": {
                        "learning_rate": 5e-5,
                        "epochs": 5,
                        "batch_size": 128,
                        "warmup": 500,
                        "weight_decay": 0.001,
                    }
                },
                recipe_source="its model card",
            ),
            Published(
                "sentence-transformers/LaBSE",
                fields("bert", 12, 768, 501153, positions=512, pad=0),
                "836121a0533e5664b21c7aacc5d22951f2b8b25b",
            ),
        ),
    )
)
