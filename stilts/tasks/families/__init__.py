"""Families: preprocessing and decoding shared by tasks of one shape. `get_family("tagging")`."""

from stilts.errors import StiltsError, nearest
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.dual_encoder import DualEncoder
from stilts.tasks.families.mlm import MaskedLanguageModelling
from stilts.tasks.families.multiple_choice import MultipleChoice
from stilts.tasks.families.pair_classification import PairClassification
from stilts.tasks.families.parsing import Parsing
from stilts.tasks.families.retrieval import Retrieval
from stilts.tasks.families.span_qa import SpanQA
from stilts.tasks.families.srl import SemanticRoles
from stilts.tasks.families.tagging import Tagging

__all__ = ["Family", "Lengths", "get_family"]

_FAMILIES: dict[str, Family] = {
    "classification": PairClassification(),
    "multiple_choice": MultipleChoice(),
    "tagging": Tagging(),
    "parsing": Parsing(),
    "srl": SemanticRoles(),
    "span_qa": SpanQA(),
    "mlm": MaskedLanguageModelling(),
    "retrieval": Retrieval(),
    "dual_encoder": DualEncoder(),
}


def get_family(name: str) -> Family:
    """The family of this name, as in `Task.family`.

    Raises:
        StiltsError: there is none; the message names the nearest.
    """
    if name not in _FAMILIES:
        raise StiltsError(f"unknown family {name!r}; {nearest(name, _FAMILIES)}")
    return _FAMILIES[name]
