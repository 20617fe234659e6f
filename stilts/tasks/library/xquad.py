"""XQuAD: SQuAD questions translated by professionals, 11 languages; trained on SQuAD 1.1."""

from stilts.tasks.base import HubSource, Task, register, words

register(
    Task(
        name="xquad",
        version=1,
        family="span_qa",
        languages=words("en es de el ru tr ar vi th zh hi"),
        xtreme_r=("ro",),
        # The main number is the mean of exact match and F1.
        metric="metric",
        metrics=("exact_match", "f1"),
        train_on="squad",
        group="qa",
        settings={"max_length": 384, "stride": 128, "max_query_length": 64, "n_best": 20, "max_answer_length": 30},
        splits=("test",),
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="XQuAD.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"test": "validation"},
            columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
            without={"test": ("ro",)},
        ),
        folder="xquad",
        files="squad",
        sizes={"test": 1_190},
        tokens_per_row=250.0,
        parallel=True,
    )
)
