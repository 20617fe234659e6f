"""CamemBERT: RoBERTa's architecture with a SentencePiece tokenizer (French)."""

from stilts.encoders.architectures import Architecture, register
from stilts.encoders.library.roberta import HEAD, PAIR

register(Architecture(model_type="camembert", pair=PAIR, after_padding=True, packs=True, pretrained_heads=(HEAD,)))
