"""SRL: PropBank's semantic roles, one predicate at a time. English OntoNotes, and Universal PropBank in many languages.

The files of Universal PropBank can serve as test data of other languages: `data.tasks.srl.test: up/{lang}.conllu`.
"""

from stilts.tasks.base import Task, register, words
from stilts.tasks.recipes import xtreme_recipe

_NUMBERED = words("ARG0 ARG1 ARG2 ARG3 ARG4 ARG5 ARGA")
_MODIFIERS = words("ADJ ADV CAU COM CXN DIR DIS DSP EXT GOL LOC LVB MNR MOD NEG PNC PRD PRP PRR PRX REC SLC TMP")
_ROLES = (*_NUMBERED, *(f"ARGM-{name}" for name in _MODIFIERS))
_MARKED = ("V", "C-V", *(f"{prefix}{role}" for prefix in ("", "C-", "R-") for role in _ROLES))

register(
    Task(
        name="srl",
        version=1,
        family="srl",
        # Universal PropBank's languages (1.0 and 2.0), and OntoNotes' Arabic; English first.
        languages=words("en ar cs de el es eu fa fi fr hi hu id it ja ko mr nl pl pt ro ru ta te tr uk vi zh"),
        labels=("O", *(f"{begin}-{role}" for role in _MARKED for begin in ("B", "I"))),
        metric="f1",
        metrics=("f1", "precision", "recall"),
        train_on="srl",
        # A choice, not a published recipe: XTREME's for tagging with fewer epochs, since sentences repeat by predicate.
        recipe=xtreme_recipe(learning_rate=2e-5, epochs=5),
        settings={"max_length": 128},
        licence=(
            "OntoNotes 5.0 is licensed by the Linguistic Data Consortium as LDC2013T19, and the copy of CoNLL-2012 on "
            "the hub, ontonotes/conll2012_ontonotesv5, is under CC BY-NC-ND 4.0, too, so that nothing is downloaded: "
            "give CoNLL-2012's *_gold_conll files; Universal PropBank's .conllu files are read too, "
            "from github.com/UniversalPropositions"
        ),
        files="propositions",
        # Propositions of CoNLL-2012's English split.
        sizes={"train": 253_070, "dev": {"en": 35_297}, "test": {"en": 24_462}},
        tokens_per_row=40.0,
    )
)
