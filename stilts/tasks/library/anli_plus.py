"""ANLI+: ANLI, SNLI and MNLI as one task with one head, 1,104,934 training examples. The study's largest NLI set."""

from stilts.tasks.base import Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="anli_plus",
        version=1,
        family="classification",
        languages=("en",),
        labels=("entailment", "neutral", "contradiction"),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="anli_plus",
        head="nli",
        parts=("anli", "snli", "mnli"),
        recipe=jiant_recipe(epochs=2, max_length=256),
        settings={"max_length": 256},
        splits=("dev",),
        files="nli",
        # A stage selects on ANLI's dev set; the size of dev is that of all three, where they are given as files.
        sizes={"train": 1_104_934, "dev": 22_857},
        tokens_per_row=46.0,
    )
)
