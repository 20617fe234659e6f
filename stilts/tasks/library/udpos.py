"""UD-POS: universal part-of-speech tags (UD 2.5). English training data, 33 languages."""

from stilts.tasks.base import HubSource, Task, register, words

_HUB_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "kk": "Kazakh", "ko": "Korean", "mr": "Marathi", "nl": "Dutch", "pt": "Portuguese", "ru": "Russian",
    "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "ur": "Urdu",
    "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese",
}  # fmt: skip

register(
    Task(
        name="udpos",
        version=1,
        family="tagging",
        languages=tuple(_HUB_NAMES),
        labels=words("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"),
        # evaluate.py scores tags as chunks, by F1 and not by accuracy.
        metric="f1",
        metrics=("f1", "precision", "recall"),
        train_on="udpos",
        group="tagging",
        # XTREME's baseline script for XLM-R Large.
        recipe={"learning_rate": 2e-5, "epochs": 10, "max_length": 128, "batch_size": 32, "selection": "best-dev"},
        settings={"max_length": 128},
        # Multiword tokens are split here and fused in XTREME's folder, so scores on the two are not comparable.
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="udpos.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns={"tokens": "tokens", "tags": "pos_tags"},
            names=_HUB_NAMES,
            without={"dev": ("kk", "th", "tl", "yo")},
        ),
        folder="udpos",
        files="tags",
        sizes={"train": 21_253, "dev": {"en": 3_974}, "test": {"en": 5_440, "de": 22_358, "mr": 47}},
        tokens_per_row=25.0,
    )
)
