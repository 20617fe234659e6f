"""PAN-X (WikiANN): names of persons, places and organisations. English training data, 40 languages."""

from stilts.tasks.base import HubSource, Task, register, words
from stilts.tasks.benchmarks import XTREME, XTREME_R
from stilts.tasks.recipes import xtreme_recipe

_ADDED = XTREME_R.added("panx", XTREME)
_ALL = XTREME_R.languages["panx"]
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
        languages=XTREME.languages["panx"],
        labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
        answers="entities",
        metric="f1",
        metrics=("f1", "precision", "recall"),
        train_on="panx",
        recipe=xtreme_recipe(learning_rate=2e-5, epochs=10),
        settings={"max_length": 128},
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="PAN-X.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns={"tokens": "tokens", "tags": "ner_tags"},
            without={"train": _ADDED},
            # WikiANN, from which XTREME's copy was made. Without its training sets: `in-language` means XTREME's.
            others=dict.fromkeys(
                _ADDED,
                HubSource(
                    id="unimelb-nlp/wikiann",
                    revision="f0a3be6dc5564c0cc4150bb660144800a1f539d4",
                    config="{lang}",
                    splits={"dev": "validation", "test": "test"},
                    columns={"tokens": "tokens", "tags": "ner_tags"},
                ),
            ),
        ),
        folder="panx",
        files="tags",
        sizes={"train": _TRAIN, "dev": {"en": 10_000}, "test": dict.fromkeys(_ALL, 10_000) | _SMALL},
        tokens_per_row=15.0,
    )
)
