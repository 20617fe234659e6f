"""PAN-X (WikiANN): names of persons, places and organisations. English training data, 40 languages."""

from stilts.tasks.base import HubSource, Task, register, words

_LANGUAGES = words(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et "
    "fi hu"
)
_SMALL = dict.fromkeys(words("af bn hi kk ml mr ms sw ta te tl ur"), 1_000) | dict.fromkeys(("jv", "my", "yo"), 100)

register(
    Task(
        name="panx",
        version=1,
        family="tagging",
        languages=_LANGUAGES,
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
        ),
        folder="panx",
        files="tags",
        sizes={"train": 20_000, "dev": {"en": 10_000}, "test": dict.fromkeys(_LANGUAGES, 10_000) | _SMALL},
        tokens_per_row=15.0,
    )
)
