"""SNLI: natural language inference on image captions. Pairs without a majority label are left out."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="snli",
        version=1,
        family="classification",
        languages=("en",),
        labels=("entailment", "neutral", "contradiction"),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="snli",
        head="nli",
        recipe=jiant_recipe(epochs=2, max_length=128),
        settings={"max_length": 128},
        splits=("dev",),
        hub=HubSource(
            id="stanfordnlp/snli",
            revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
            config="plain_text",
            splits={"train": "train", "dev": "validation"},
            columns={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
        ),
        files="nli",
        # Of 550,152 and 10,000 published pairs.
        sizes={"train": 549_367, "dev": 9_842},
        tokens_per_row=29.0,
    )
)
