"""MLM: masked language modelling on raw sentences, as continued pretraining or beside another task."""

from stilts.tasks.base import HubSource, Task, register, words

_LINES = 100_000
"""Lines of each language that are read from the hub by default; `data.tasks.mlm.lines` changes it."""

_LANGUAGES = words(
    "en af am ar as az be bg bn br bs ca cs cy da de el eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it "
    "ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq "
    "sr su sv sw ta te th tl tr ug uk ur uz vi xh yi yo zh qu wo ht"
)
"""The languages that XLM-R was pretrained on, and those of XTREME and XTREME-R that it was not: yo qu wo ht."""

# FineWeb-2 has no English. Of the languages that are missing here the names were not checked.
_FINEWEB = {
    "af": "afr_Latn", "am": "amh_Ethi", "ar": "arb_Arab", "as": "asm_Beng", "az": "azj_Latn", "be": "bel_Cyrl",
    "bg": "bul_Cyrl", "bn": "ben_Beng", "bs": "bos_Latn", "ca": "cat_Latn", "cs": "ces_Latn", "cy": "cym_Latn",
    "da": "dan_Latn", "de": "deu_Latn", "el": "ell_Grek", "eo": "epo_Latn", "es": "spa_Latn", "et": "ekk_Latn",
    "eu": "eus_Latn", "fa": "fas_Arab", "fi": "fin_Latn", "fr": "fra_Latn", "ga": "gle_Latn", "gl": "glg_Latn",
    "gu": "guj_Gujr", "ha": "hau_Latn", "he": "heb_Hebr", "hi": "hin_Deva", "hr": "hrv_Latn", "hu": "hun_Latn",
    "hy": "hye_Armn", "id": "ind_Latn", "is": "isl_Latn", "it": "ita_Latn", "ja": "jpn_Jpan", "jv": "jav_Latn",
    "ka": "kat_Geor", "kk": "kaz_Cyrl", "km": "khm_Khmr", "kn": "kan_Knda", "ko": "kor_Hang", "ky": "kir_Cyrl",
    "la": "lat_Latn", "lo": "lao_Laoo", "lt": "lit_Latn", "lv": "lvs_Latn", "mk": "mkd_Cyrl", "ml": "mal_Mlym",
    "mr": "mar_Deva", "ms": "zsm_Latn", "my": "mya_Mymr", "ne": "npi_Deva", "nl": "nld_Latn", "no": "nob_Latn",
    "or": "ory_Orya", "pa": "pan_Guru", "pl": "pol_Latn", "ps": "pbt_Arab", "pt": "por_Latn", "ro": "ron_Latn",
    "ru": "rus_Cyrl", "si": "sin_Sinh", "sk": "slk_Latn", "sl": "slv_Latn", "so": "som_Latn", "sq": "als_Latn",
    "sr": "srp_Cyrl", "su": "sun_Latn", "sv": "swe_Latn", "sw": "swh_Latn", "ta": "tam_Taml", "te": "tel_Telu",
    "th": "tha_Thai", "tl": "fil_Latn", "tr": "tur_Latn", "uk": "ukr_Cyrl", "ur": "urd_Arab", "uz": "uzn_Latn",
    "vi": "vie_Latn", "xh": "xho_Latn", "yo": "yor_Latn", "zh": "cmn_Hani",
}  # fmt: skip
_WIKIPEDIA = HubSource(  # CC BY-SA 3.0
    id="wikimedia/wikipedia",
    revision="b04c8d1ceb2f5cd4588862100d08de323dccfbaa",
    config="20231101.{lang}",
    splits={"train": "train"},
    columns={"text": "text"},
    lines=_LINES,
)
_FINEWEB_2 = HubSource(  # ODC-By 1.0
    id="HuggingFaceFW/fineweb-2",
    revision="af9c13333eb981300149d5ca60a8e9d659b276b9",
    config="{lang}",
    splits={"train": "train"},
    columns={"text": "text"},
    names=_FINEWEB,
    without={"train": tuple(language for language in _LANGUAGES if language not in _FINEWEB)},
    lines=_LINES,
)

register(
    Task(
        name="mlm",
        version=1,
        family="mlm",
        languages=_LANGUAGES,
        metric="loss",
        metrics=("loss",),
        train_on="mlm",
        # Masking and the language exponent are XLM-R's; the rest is a modest continuation, to be set per experiment.
        recipe={
            "learning_rate": 5e-5,
            "epochs": None,
            "max_steps": 10_000,
            "max_length": 128,
            "batch_size": 128,
            "warmup": 0.06,
            "weight_decay": 0.01,
            "mlm_probability": 0.15,
            "language_exponent": 0.3,
            "selection": "last",
        },
        settings={"max_length": 128},
        splits=(),
        # Raw text is read from the hub only where the experiment names a data set: data.tasks.mlm.hub.
        hubs=(_WIKIPEDIA, _FINEWEB_2),
        files="text",
        tokens_per_row=30.0,
    )
)
