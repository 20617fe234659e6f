"""Social IQa: what people want, feel and do next, three answers. English intermediate task, XCOPA's first step.

XTREME-R's script keeps the last weights; here they are those with the best dev score (docs/differences.md).
"""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import xtreme_recipe

register(
    Task(
        name="siqa",
        version=1,
        family="multiple_choice",
        choices=3,
        languages=("en",),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="siqa",
        recipe=xtreme_recipe(learning_rate=3e-5, epochs=5),
        settings={"max_length": 128},
        splits=("dev",),
        # The hub's own conversion to parquet: the repository itself holds a loading script, which is not run.
        hub=HubSource(
            id="allenai/social_i_qa",
            revision="537a2ec8ec565adc0b70b70752893e59e024df26",
            config="default",
            files="{config}/{split}/0000.parquet",
            splits={"train": "train", "dev": "validation"},
            columns={
                "text_a": "context",
                "question": "question",
                "choices": "answerA+answerB+answerC",
                "label": "label",
            },
            labels={"1": 0, "2": 1, "3": 2},
        ),
        folder="siqa",
        files="siqa",
        sizes={"train": 33_410, "dev": 1_954, "translated": 33_410},
        tokens_per_row=100.0,
    )
)
