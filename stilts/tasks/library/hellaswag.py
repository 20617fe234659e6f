"""HellaSwag: choose the ending of a described scene. English intermediate task."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="hellaswag",
        version=1,
        family="multiple_choice",
        choices=4,
        languages=("en",),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="hellaswag",
        recipe=jiant_recipe(epochs=3, max_length=128),
        settings={"max_length": 128},
        splits=("dev",),
        hub=HubSource(
            id="Rowan/hellaswag",
            revision="218ec52e09a7e7462a5400043bb9a69a41d06b76",
            splits={"train": "train", "dev": "validation"},
            columns={"text_a": "ctx_a", "prefix": "ctx_b", "choices": "endings", "label": "label"},
        ),
        files="hellaswag",
        sizes={"train": 39_905, "dev": 10_042},
        tokens_per_row=330.0,
    )
)
