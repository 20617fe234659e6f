"""TyDiQA-GoldP: questions by people who wanted to know, 9 languages. Its dev set serves as the test set."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.benchmarks import XTREME
from stilts.tasks.recipes import XTREME_QA_RECIPE, XTREME_QA_SETTINGS

_HUB_NAMES = {
    "en": "english", "ar": "arabic", "bn": "bengali", "fi": "finnish", "id": "indonesian", "ko": "korean",
    "ru": "russian", "sw": "swahili", "te": "telugu",
}  # fmt: skip
_TEST = {"en": 440, "ar": 921, "bn": 113, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669}
# Train: the whole of each language; the English part is XTREME's training set.
_TRAIN = {
    "en": 3_696, "ar": 14_805, "bn": 2_390, "fi": 6_855, "id": 5_702, "ko": 1_625, "ru": 6_490, "sw": 2_755,
    "te": 5_563,
}  # fmt: skip

register(
    Task(
        name="tydiqa",
        version=1,
        family="span_qa",
        languages=XTREME.languages["tydiqa"],
        # The main number is the mean of exact match and F1.
        metric="metric",
        metrics=("exact_match", "f1"),
        train_on="tydiqa",
        # Of 348 steps, the warm-up takes 500: XTREME's script ends during it.
        recipe={**XTREME_QA_RECIPE, "long_warmup": "keep"},
        settings=XTREME_QA_SETTINGS,
        splits=("test",),
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="tydiqa",
            files="{config}/{split}-*.parquet",
            splits={"train": "train", "test": "validation"},
            columns={"id": "id", "context": "context", "question": "question", "answers": "answers"},
            names=_HUB_NAMES,
            # One configuration holds every language; ids read `swahili-1234-5`.
            id_prefix="{lang}-",
        ),
        folder="tydiqa",
        files="squad",
        # Translated from English: at most, since answers that the translation lost are left out.
        sizes={"train": _TRAIN, "test": _TEST, "translated": 3_696},
        tokens_per_row=160.0,
    )
)
