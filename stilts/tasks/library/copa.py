"""COPA: which of two alternatives is the cause, or the effect, of a premise? XCOPA's English training data.

XTREME-R's script continues with the head that it trained on Social IQa and keeps the last weights. Here COPA begins
with a new head, as every stage of a chain does, and the weights are those with the best dev score
(docs/differences.md).
"""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import xtreme_recipe

register(
    Task(
        name="copa",
        version=1,
        family="multiple_choice",
        choices=2,
        languages=("en",),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="copa",
        recipe=xtreme_recipe(learning_rate=3e-5, epochs=5),
        settings={"max_length": 128},
        splits=("dev",),
        hub=HubSource(
            id="aps/super_glue",
            revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
            config="copa",
            files="{config}/{split}-*.parquet",
            splits={"train": "train", "dev": "validation"},
            columns={"text_a": "premise", "question": "question", "choices": "choice1+choice2", "label": "label"},
        ),
        folder="copa",
        files="copa",
        sizes={"train": 400, "dev": 100, "translated": 400},
        tokens_per_row=45.0,
    )
)
