"""The head of text classification: RoBERTa's classification head on the class token."""

from stilts.train.heads.classification import Classification
from stilts.train.heads.registry import register


class TextClassification(Classification):
    """One class per sequence."""

    family = "text_classification"


register(TextClassification())
