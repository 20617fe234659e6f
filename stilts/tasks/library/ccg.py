"""CCG supertagging: a lexical category for every word of the Penn Treebank. English intermediate task."""

from stilts.tasks.base import Task, register
from stilts.tasks.recipes import jiant_recipe

register(
    Task(
        name="ccg",
        version=1,
        family="tagging",
        languages=("en",),
        # The labels are the tags of the training file (1,363 in the full data), in the order of their names.
        labels=(),
        answers="words",
        metric="accuracy",
        metrics=("accuracy",),
        train_on="ccg",
        recipe=jiant_recipe(epochs=10, max_length=256),
        settings={"max_length": 256},
        splits=("dev",),
        licence=(
            "CCGbank is licensed by the Linguistic Data Consortium as LDC2005T13, so that no copy can be downloaded: "
            "write its sections 02-21 and 00 as `words TAB tags`, a sentence a line, or token TAB tag, a token a line"
        ),
        files="supertags",
        # The study's counts; sections 02-21 and 00 in full are 39,604 and 1,913 sentences.
        sizes={"train": 38_015, "dev": 5_484},
        tokens_per_row=30.0,
    )
)
