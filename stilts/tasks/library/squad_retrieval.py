"""SQuAD 1.1 as retrieval: a question and the sentence, with its paragraph, that answers it. LAReQA's training data.

A dual encoder is trained to find each question's sentence among those of its block (`train/features.in_blocks`). The
dev score is MAP@20 among the answer sentences of the dev set. Licence: CC BY-SA 4.0, as SQuAD's.
"""

from stilts.tasks.base import HubSource, Task, register

register(
    Task(
        name="squad_retrieval",
        version=1,
        family="dual_encoder",
        languages=("en",),
        metric="map@20",
        metrics=("map@20",),
        train_on="squad_retrieval",
        # XTREME-R's script, whose steps of 16 pairs consist of four batches, so that each pair has 3 negatives. Here
        # all pairs of a step are contrasted.
        recipe={
            "learning_rate": 2e-5,
            "epochs": 3,
            "max_length": 256,
            "max_query_length": 96,
            "batch_size": 16,
            "weight_decay": 0.0,
        },
        settings={"max_length": 256, "max_query_length": 96},
        splits=("dev",),
        hub=HubSource(
            id="rajpurkar/squad",
            revision="7b6d24c440a36b6815f21b70d25016731768db1f",
            config="plain_text",
            splits={"train": "train", "dev": "validation"},
            columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
        ),
        folder="squad_retrieval",
        files="squad_pairs",
        sizes={"train": 87_599, "dev": 10_570},
        tokens_per_row=230.0,
    )
)
