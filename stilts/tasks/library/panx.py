"""PAN-X (WikiANN): names of persons, places and organisations. English training data, 40 languages."""

from stilts.tasks.base import HubSource, Task, register, words

_LANGUAGES = words(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et "
    "fi hu"
)
_XTREME_R = words("qu pl uk az lt pa gu ro")
_ALL = (*_LANGUAGES, *_XTREME_R)
_SMALL = dict.fromkeys(words("af az bn hi kk ml mr ms sw ta te tl ur"), 1_000) | dict.fromkeys(
    words("gu jv my pa qu yo"), 100
)
# In-language training sets.
_TRAIN = (
    dict.fromkeys(_ALL, 20_000)
    | dict.fromkeys(("et", "ta"), 15_000)
    | dict.fromkeys(words("az bn eu ka lt ml tl"), 10_000)
    | dict.fromkeys(words("af hi mr"), 5_000)
    | dict.fromkeys(words("kk sw te"), 1_000)
    | dict.fromkeys(words("gu jv my pa qu yo"), 100)
)

register(
    Task(
        name="panx",
        version=1,
        family="tagging",
        languages=_LANGUAGES,
        xtreme_r=_XTREME_R,
        labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
        metric="f1",
        metrics=("f1", "precision", "recall"),
        train_on="panx",
        group="tagging",
        # XTREME's baseline script for XLM-R Large.
        recipe={"learning_rate": 2e-5, "epochs": 10, "max_length": 128, "batch_size": 32, "selection": "best-dev"},
        settings={"max_length": 128},
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="PAN-X.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns={"tokens": "tokens", "tags": "ner_tags"},
            without=dict.fromkeys(("train", "dev", "test"), _XTREME_R),
        ),
        folder="panx",
        files="tags",
        sizes={"train": _TRAIN, "dev": {"en": 10_000}, "test": dict.fromkeys(_ALL, 10_000) | _SMALL},
        tokens_per_row=15.0,
    )
)
