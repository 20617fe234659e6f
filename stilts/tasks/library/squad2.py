"""SQuAD 2.0: as SQuAD 1.1, but a third of the questions has no answer in the passage. English intermediate task."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import XTREME_QA_RECIPE, XTREME_QA_SETTINGS

register(
    Task(
        name="squad2",
        version=1,
        family="span_qa",
        languages=("en",),
        # The main number is the mean of exact match and F1.
        metric="metric",
        metrics=("exact_match", "f1"),
        train_on="squad2",
        # XTREME's baseline script for SQuAD 1.1 and XLM-R Large.
        # The recipe of SQuAD 1.1.
        recipe=XTREME_QA_RECIPE,
        settings={
            **XTREME_QA_SETTINGS,
            # None: the threshold for "no answer" is the one with the best F1 on dev; a number fixes it.
            "null_threshold": None,
        },
        splits=("dev",),
        hub=HubSource(
            id="rajpurkar/squad_v2",
            revision="3ffb306f725f7d2ce8394bc1873b24868140c412",
            config="squad_v2",
            splits={"train": "train", "dev": "validation"},
            columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
        ),
        files="squad",
        sizes={"train": 130_319, "dev": 11_873},
        tokens_per_row=180.0,
    )
)
