"""ANLI: adversarial natural language inference, its three rounds as one task."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="anli",
        version=1,
        family="classification",
        languages=("en",),
        labels=("entailment", "neutral", "contradiction"),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="anli",
        head="nli",
        recipe=jiant_recipe(epochs=2, max_length=256),
        settings={"max_length": 256},
        splits=("dev",),
        hub=HubSource(
            id="facebook/anli",
            revision="8e4813d81f46d313dac7892e1c28076917cfcdf9",
            config="plain_text",
            splits={"train": "train_r1+train_r2+train_r3", "dev": "dev_r1+dev_r2+dev_r3"},
            columns={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
        ),
        # As published, a file a round: data.tasks.anli.train: [R1/train.jsonl, R2/train.jsonl, R3/train.jsonl].
        files="nli",
        sizes={"train": 162_865, "dev": 3_200},
        tokens_per_row=105.0,
    )
)
