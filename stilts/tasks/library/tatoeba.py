"""Tatoeba: find each English sentence's translation by nearest neighbour. Nothing is trained; 36 languages."""

from stilts.tasks.base import HubSource, Task, register
from stilts.tasks.benchmarks import XTREME, XTREME_R

_HUB_NAMES = {
    "ar": "ara", "he": "heb", "vi": "vie", "id": "ind", "jv": "jav", "tl": "tgl", "eu": "eus", "ml": "mal",
    "ta": "tam", "te": "tel", "af": "afr", "nl": "nld", "de": "deu", "el": "ell", "bn": "ben", "hi": "hin",
    "mr": "mar", "ur": "urd", "fa": "pes", "fr": "fra", "it": "ita", "pt": "por", "es": "spa", "bg": "bul",
    "ru": "rus", "ja": "jpn", "ka": "kat", "ko": "kor", "th": "tha", "sw": "swh", "zh": "cmn", "kk": "kaz",
    "tr": "tur", "et": "est", "fi": "fin", "hu": "hun",
}  # fmt: skip
_SMALL = {"jv": 410, "te": 468, "ta": 614, "sw": 780, "th": 1_096, "kk": 1_150, "ml": 1_374, "ka": 1_492}

register(
    Task(
        name="tatoeba",
        version=1,
        family="retrieval",
        languages=XTREME.languages["tatoeba"],
        metric="accuracy",
        metrics=("accuracy",),
        train_on=None,
        # Layer 14 of 24 as in XTREME's script for XLM-R Large, scaled to the depth of the model: 7 of 12, where the
        # script takes layer 8 of mBERT (docs/differences.md).
        settings={"layer": 14, "layers": 24, "pooling": "mean", "max_length": 512},
        splits=("test",),
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="tatoeba.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"test": "validation"},
            columns={"foreign": "source_sentence", "en": "target_sentence"},
            names=_HUB_NAMES,
            others=dict.fromkeys(
                XTREME_R.added("tatoeba", XTREME),
                HubSource(
                    id="mteb/tatoeba-bitext-mining",
                    revision="69e8f12da6e31d59addadda9a9c8a2e601a0e282",
                    config="{lang}-eng",
                    splits={"test": "test"},
                    columns={"foreign": "sentence1", "en": "sentence2"},
                    names={"az": "aze", "lt": "lit", "pl": "pol", "uk": "ukr", "ro": "ron"},
                ),
            ),
        ),
        folder="tatoeba",
        files="tatoeba",
        sizes={"test": dict.fromkeys(XTREME_R.languages["tatoeba"], 2_000) | _SMALL},
        tokens_per_row=12.0,
    )
)
