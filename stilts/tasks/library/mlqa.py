"""MLQA: questions on Wikipedia passages, asked and answered in the same language; trained on SQuAD 1.1."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.benchmarks import XTREME
from stilts.tasks.recipes import XTREME_QA_SETTINGS

_DEV = {"en": 1_148, "es": 500, "de": 512, "ar": 517, "hi": 507, "vi": 511, "zh": 504}
_TEST = {"en": 11_590, "es": 5_253, "de": 4_517, "ar": 5_335, "hi": 4_918, "vi": 5_495, "zh": 5_137}

register(
    Task(
        name="mlqa",
        version=1,
        family="span_qa",
        languages=XTREME.languages["mlqa"],
        # The main number is the mean of exact match and F1.
        answers="MLQA answers",
        metric="metric",
        metrics=("exact_match", "f1"),
        train_on="squad",
        settings=XTREME_QA_SETTINGS,
        splits=("dev", "test"),
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="MLQA.{lang}.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"dev": "validation", "test": "test"},
            columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
        ),
        folder="mlqa",
        files="squad",
        sizes={"dev": _DEV, "test": _TEST},
        tokens_per_row=250.0,
        parallel=True,
    )
)
