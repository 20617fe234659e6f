"""UD-POS: universal part-of-speech tags (UD 2.5). English training data, 33 languages."""

from dataclasses import replace

from stilts.tasks.base import HubSource, Task, register, words
from stilts.tasks.benchmarks import XTREME, XTREME_R
from stilts.tasks.recipes import xtreme_recipe

_HUB_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "kk": "Kazakh", "ko": "Korean", "mr": "Marathi", "nl": "Dutch", "pt": "Portuguese", "ru": "Russian",
    "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "ur": "Urdu",
    "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese",
}  # fmt: skip
# UD 2.5 as the hub has it, multiword tokens split; no training set in th, tl and yo.
_TRAIN = {
    "af": 1_315, "ar": 6_075, "bg": 8_907, "de": 166_849, "el": 28_152, "en": 21_253, "es": 28_492, "et": 25_749,
    "eu": 5_396, "fa": 4_798, "fi": 27_198, "fr": 47_308, "he": 5_241, "hi": 13_304, "hu": 910, "id": 4_477,
    "it": 29_685, "ja": 7_125, "kk": 31, "ko": 27_410, "mr": 373, "nl": 18_051, "pt": 17_992, "ru": 67_435, "ta": 400,
    "te": 1_051, "tr": 3_664, "ur": 4_043, "vi": 1_400, "zh": 18_998,
}  # fmt: skip
_ADDED = XTREME_R.added("udpos", XTREME)
_UD_2_7 = HubSource(
    id="izhx/xtreme-r-udpos",
    revision="7e002378cc5704114200c479db0c592c7f77f8f8",
    config="{lang}",
    splits={"train": "train", "dev": "validation", "test": "test"},
    columns={"tokens": "tokens", "tags": "pos_tags"},
    without=dict.fromkeys(("train", "dev"), tuple(code for code in XTREME_R.languages["udpos"] if code != "en")),
)

register(
    Task(
        name="udpos",
        version=1,
        family="tagging",
        languages=XTREME.languages["udpos"],
        labels=words("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"),
        # evaluate.py scores tags as chunks, by F1 and not by accuracy.
        answers="tag runs",
        metric="f1",
        metrics=("f1", "precision", "recall"),
        train_on="udpos",
        recipe=xtreme_recipe(learning_rate=2e-5, epochs=10),
        settings={"max_length": 128},
        # The hub splits multiword tokens, which are fused in XTREME's folder, so scores on the two are not comparable.
        # Instead of XTREME's folder, the treebanks of UD 2.5 can be given (lindat.mff.cuni.cz, 11234/1-3105), which
        # are read as XTREME reads them: data.tasks.udpos.test: ud-treebanks-v2.5/*/{lang}_*-ud-test.conllu.
        hub=HubSource(
            id="google/xtreme",
            revision="68bd9e06bf4bbe671073c975ccd61d754e1bd3d6",
            config="udpos.{lang}",
            files="{config}/{split}-*.parquet",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns={"tokens": "tokens", "tags": "pos_tags"},
            names=_HUB_NAMES,
            without={"train": (*words("th tl yo"), *_ADDED), "dev": (*words("kk th tl yo"), *_ADDED)},
            # UD 2.7, as in XTREME-R.
            others=dict.fromkeys(_ADDED, replace(_UD_2_7, splits={"test": "test"})),
            # Its loader took every treebank whose path holds `_LANGUAGE`, so other languages too.
            unlike={
                "el": "2,353 of its 2,809 test sentences are Ancient Greek",
                "zh": "2,073 of its 5,528 test sentences are Classical Chinese",
                "ru": "some 2,360 of its 11,336 test sentences are Old Russian",
                "fr": "1,927 of its 9,465 test sentences are Old French, and others have no words",
                "de": "100 of its 22,458 test sentences are Swiss German",
            },
        ),
        hubs=(_UD_2_7,),
        folder="udpos",
        files="tags",
        sizes={
            "train": _TRAIN,
            "dev": {"en": 3_974},
            "test": {"en": 5_440, "el": 2_809, "zh": 5_528, "ru": 11_336, "fr": 9_465, "de": 22_458, "mr": 47},
        },
        tokens_per_row=25.0,
    )
)
