"""SQuAD 1.1: the English training data of XQuAD and MLQA, and an intermediate task."""

from stilts.tasks.base import HubSource, Task, register

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
        # XTREME's baseline script for XLM-R Large (2020: 2 epochs, batch 16).
        recipe={
            "learning_rate": 3e-5,
            "epochs": 3,
            "max_length": 384,
            "stride": 128,
            "max_query_length": 64,
            "batch_size": 32,
            "warmup": 500,
            "weight_decay": 1e-4,
            "selection": "last",
        },
        settings={"max_length": 384, "stride": 128, "max_query_length": 64, "n_best": 20, "max_answer_length": 30},
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
