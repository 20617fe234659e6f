"""XNLI: does a premise entail a hypothesis? Trained on MNLI's English text, tested in 15 languages."""

from stilts.tasks.base import HubSource, Task, register, words
from stilts.tasks.benchmarks import XTREME
from stilts.tasks.recipes import xtreme_recipe

_FOREIGN = words("ar bg de el es fr hi ru sw th tr ur vi zh")

register(
    Task(
        name="xnli",
        version=1,
        family="classification",
        languages=XTREME.languages["xnli"],
        labels=("entailment", "neutral", "contradiction"),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="xnli",
        head="nli",
        # XTREME's baseline script for XLM-R Large (2020: learning rate 2e-5).
        # For mBERT and XLM-R base XTREME uses 2e-5 (docs/differences.md).
        recipe=xtreme_recipe(learning_rate=3e-5, epochs=5),
        settings={"max_length": 128},
        # Not google/xtreme: its XNLI has no train split.
        hub=HubSource(
            id="facebook/xnli",
            revision="b8dd5d7af51114dbda02c0e3f6133f332186418e",
            config="{lang}",
            # Its training sets in other languages are XNLI's machine translations of MNLI.
            splits={"train": "train", "dev": "validation", "test": "test", "translated": "train"},
            columns={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
            without={"train": _FOREIGN, "translated": ("en",)},
        ),
        folder="xnli",
        files="nli",
        sizes={"train": 392_702, "dev": 2_490, "test": 5_010, "translated": 392_702},
        tokens_per_row=45.0,
        parallel=True,
    )
)
