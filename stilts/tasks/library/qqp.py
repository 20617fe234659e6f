"""QQP: do two questions from Quora ask the same? English intermediate task, scored by the mean of accuracy and F1."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="qqp",
        version=1,
        family="classification",
        languages=("en",),
        labels=("0", "1"),
        # The main number is the mean of accuracy and of the F1 of the duplicates.
        metric="metric",
        metrics=("accuracy", "f1"),
        train_on="qqp",
        recipe=jiant_recipe(epochs=3, max_length=128),
        settings={"max_length": 128},
        splits=("dev",),
        hub=HubSource(
            id="nyu-mll/glue",
            revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
            config="qqp",
            splits={"train": "train", "dev": "validation"},
            columns={"text_a": "question1", "text_b": "question2", "label": "label"},
        ),
        files="qqp",
        # Of 363,846 published pairs two lack a question.
        sizes={"train": 363_844, "dev": 40_430},
        tokens_per_row=33.0,
    )
)
