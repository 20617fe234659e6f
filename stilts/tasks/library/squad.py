"""SQuAD 1.1: the English training data of XQuAD and MLQA, and an intermediate task."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import XTREME_QA_RECIPE, XTREME_QA_SETTINGS

register(
    Task(
        name="squad",
        version=1,
        family="span_qa",
        languages=("en",),
        # The main number is the mean of exact match and F1.
        metric="metric",
        metrics=("exact_match", "f1"),
        train_on="squad",
        recipe=XTREME_QA_RECIPE,
        settings=XTREME_QA_SETTINGS,
        splits=("dev",),
        hub=HubSource(
            id="rajpurkar/squad",
            revision="7b6d24c440a36b6815f21b70d25016731768db1f",
            config="plain_text",
            splits={"train": "train", "dev": "validation"},
            columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
        ),
        folder="squad",
        files="squad",
        # Translated: at most, since answers that the translation lost are left out.
        sizes={"train": 87_599, "dev": 10_570, "translated": 87_599},
        tokens_per_row=180.0,
    )
)
