"""Pins: revisions of data sets on the hub that are known to load without a script, and where that was seen.

A pin of the library stands here with the form of its files. A plan says of the data sets that it reads which are not
here: whether `datasets` can load them is not known before the download.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pin:
    """What is known of a revision.

    Attributes:
        form: of its data files; `datasets` reads them without a script of the repository.
        seen: month, and what showed it. None of them was downloaded for this table.
    """

    form: str
    seen: str


PAGE = "2026-11: the hub's page of this commit"
INFOS = (
    "2026-11: the hub's pages of the data set, and the dataset_infos of its parquet files; not this commit's file list"
)

PINS: dict[tuple[str, str], Pin] = {
    ("Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76"): Pin("parquet", INFOS),
    ("allenai/cosmos_qa", "ed50fe83db62b355759053b1cd5eef344ee371e0"): Pin("parquet", INFOS),
    ("allenai/social_i_qa", "537a2ec8ec565adc0b70b70752893e59e024df26"): Pin("parquet", INFOS),
    ("aps/super_glue", "3de24cf8022e94f4ee4b9d55a6f539891524d646"): Pin("parquet", INFOS),
    ("cambridgeltl/xcopa", "042f78955ba48e6404616762fa6e05e839c3907a"): Pin("parquet", PAGE),
    ("facebook/anli", "8e4813d81f46d313dac7892e1c28076917cfcdf9"): Pin("parquet", INFOS),
    ("facebook/xnli", "b8dd5d7af51114dbda02c0e3f6133f332186418e"): Pin("parquet", INFOS),
    ("google-research-datasets/paws-x", "4cd8187c404bda33cb1f62b49b001115862acf37"): Pin("parquet", INFOS),
    ("google/xtreme", "68bd9e06bf4bbe671073c975ccd61d754e1bd3d6"): Pin("parquet", INFOS),
    ("google/xtreme", "ec5f1f46e9af79639a90684a7a70a956c4998f04"): Pin("parquet", INFOS),
    ("nyu-mll/glue", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"): Pin("parquet", INFOS),
    ("rajpurkar/squad", "7b6d24c440a36b6815f21b70d25016731768db1f"): Pin("parquet", INFOS),
    ("rajpurkar/squad_v2", "3ffb306f725f7d2ce8394bc1873b24868140c412"): Pin("parquet", INFOS),
    ("stanfordnlp/snli", "cdb5c3d5eed6ead6e5a341c8e56e669bb666725b"): Pin("parquet", INFOS),
    ("tau/commonsense_qa", "94630fe30dad47192a8546eb75f094926d47e155"): Pin("parquet", INFOS),
    ("google/xquad", "51adfef1c1287aab1d2d91b5bead9bcfb9c68583"): Pin("parquet", INFOS),
    ("mteb/tatoeba-bitext-mining", "69e8f12da6e31d59addadda9a9c8a2e601a0e282"): Pin("jsonl", INFOS),
    ("unimelb-nlp/wikiann", "f0a3be6dc5564c0cc4150bb660144800a1f539d4"): Pin("parquet", INFOS),
    ("izhx/xtreme-r-udpos", "7e002378cc5704114200c479db0c592c7f77f8f8"): Pin("parquet", PAGE),
    ("wikimedia/wikipedia", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa"): Pin("parquet", INFOS),
    ("HuggingFaceFW/fineweb-2", "af9c13333eb981300149d5ca60a8e9d659b276b9"): Pin("parquet", INFOS),
}
"""By id and revision: those of the library, and others that its tasks can read."""


def is_known(id_: str, revision: str) -> bool:
    """Whether a revision of a data set is known to load."""
    return (id_, revision) in PINS
