"""Cosmos QA: commonsense questions on everyday narratives, four answers. English intermediate task."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="cosmosqa",
        version=1,
        family="multiple_choice",
        choices=4,
        languages=("en",),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="cosmosqa",
        recipe=jiant_recipe(epochs=3, max_length=256),
        settings={"max_length": 256},
        splits=("dev",),
        # The hub's own conversion to parquet: the repository itself holds a loading script, which is not run.
        hub=HubSource(
            id="allenai/cosmos_qa",
            revision="ed50fe83db62b355759053b1cd5eef344ee371e0",
            config="default",
            files="{config}/{split}/0000.parquet",
            splits={"train": "train", "dev": "validation"},
            columns={
                "id": "id",
                "text_a": "context",
                "question": "question",
                "choices": "answer0+answer1+answer2+answer3",
                "label": "label",
            },
        ),
        files="cosmosqa",
        # The published files; the paper counts 25,588 and 3,000.
        sizes={"train": 25_262, "dev": 2_985},
        tokens_per_row=440.0,
    )
)
