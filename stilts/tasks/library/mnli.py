"""MNLI: the English natural language inference data, as an intermediate task."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.recipes import xtreme_recipe

register(
    Task(
        name="mnli",
        version=1,
        family="classification",
        languages=("en",),
        labels=("entailment", "neutral", "contradiction"),
        metric="accuracy",
        metrics=("accuracy",),
        train_on="mnli",
        head="nli",
        # The same data as XNLI's training set, so XTREME's recipe for XNLI; the study's own was not published.
        recipe=xtreme_recipe(learning_rate=3e-5, epochs=5),
        settings={"max_length": 128},
        splits=("dev",),
        hub=HubSource(
            id="nyu-mll/glue",
            revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
            config="mnli",
            splits={"train": "train", "dev": "validation_matched"},
            columns={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
        ),
        # XTREME's folder keeps MNLI's training set as xnli/train-en.tsv; its only English dev set is XNLI's.
        folder="mnli",
        files="nli",
        sizes={"train": 392_702, "dev": 9_815, "translated": 392_702},
        tokens_per_row=45.0,
    )
)
