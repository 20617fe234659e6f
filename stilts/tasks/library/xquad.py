"""XQuAD: SQuAD questions translated by professionals, 11 languages; trained on SQuAD 1.1."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.benchmarks import XTREME, XTREME_R
from stilts.tasks.recipes import XTREME_QA_SETTINGS

register(
    Task(
        name="xquad",
        version=1,
        family="span_qa",
        languages=XTREME.languages["xquad"],
        # The main number is the mean of exact match and F1.
        metric="metric",
        metrics=("exact_match", "f1"),
        train_on="squad",
        settings=XTREME_QA_SETTINGS,
        splits=("test",),
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="XQuAD.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"test": "validation"},
            columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
            others=dict.fromkeys(
                XTREME_R.added("xquad", XTREME),
                HubSource(
                    id="google/xquad",
                    revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
                    config="xquad.{lang}",
                    splits={"test": "validation"},
                    columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
                ),
            ),
        ),
        folder="xquad",
        files="squad",
        sizes={"test": 1_190},
        tokens_per_row=250.0,
        parallel=True,
    )
)
