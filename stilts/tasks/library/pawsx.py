"""PAWS-X: are two sentences with the same words paraphrases? English training data, 7 languages."""

from stilts.tasks.base import HubSource, Task, register, words
from stilts.tasks.benchmarks import XTREME
from stilts.tasks.recipes import xtreme_recipe

_FOREIGN = words("de es fr ja ko zh")

register(
    Task(
        name="pawsx",
        version=1,
        family="classification",
        languages=XTREME.languages["pawsx"],
        labels=("0", "1"),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="pawsx",
        recipe=xtreme_recipe(learning_rate=2e-5, epochs=5),
        settings={"max_length": 128},
        hub=HubSource(
            id="google-research-datasets/paws-x",
            revision="4cd8187c404bda33cb1f62b49b001115862acf37",
            config="{lang}",
            # Its training sets in other languages are PAWS-X's own machine translations.
            splits={"train": "train", "dev": "validation", "test": "test", "translated": "train"},
            columns={"text_a": "sentence1", "text_b": "sentence2", "label": "label"},
            without={"train": _FOREIGN, "translated": ("en",)},
        ),
        folder="pawsx",
        files="pairs",
        sizes={"train": 49_401, "dev": 2_000, "test": 2_000, "translated": 49_401},
        tokens_per_row=60.0,
        parallel=True,
    )
)
