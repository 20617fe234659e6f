"""CommonsenseQA: questions with five answers that only common sense can tell apart. English intermediate task."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="csqa",
        version=1,
        family="multiple_choice",
        choices=5,
        languages=("en",),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="csqa",
        recipe=jiant_recipe(epochs=3, max_length=128),
        settings={"max_length": 128},
        splits=("dev",),
        hub=HubSource(
            id="tau/commonsense_qa",
            revision="94630fe30dad47192a8546eb75f094926d47e155",
            splits={"train": "train", "dev": "validation"},
            columns={"id": "id", "text_a": "question", "choices": "choices.text", "label": "answerKey"},
            labels={"A": 0, "B": 1, "C": 2, "D": 3, "E": 4},
        ),
        files="csqa",
        sizes={"train": 9_741, "dev": 1_221},
        tokens_per_row=101.0,
    )
)
