"""Mewsli-X: find the entity that a mention in WikiNews refers to, among a million descriptions in 50 languages.

The model is trained on English Wikipedia pairs. XTREME-R calls the metric map@20; with one right entity per mention it
is the mean reciprocal rank among the first 20. The sizes are those of release 20220518_6, whose scores cannot be
compared with those in the paper.
"""

from stilts.tasks.base import Task, register
from stilts.tasks.benchmarks import XTREME_R

_MENTIONS = {
    "ar": 1_501, "de": 1_551, "en": 1_490, "es": 1_552, "fa": 458, "ja": 1_519, "pl": 1_562, "ro": 672, "ta": 1_567,
    "tr": 1_215, "uk": 1_537,
}  # fmt: skip

register(
    Task(
        name="mewslix",
        version=1,
        family="dual_encoder",
        languages=XTREME_R.languages["mewslix"],
        metric="map@20",
        metrics=("map@20",),
        train_on="wikipedia_mentions",
        settings={"max_length": 64, "max_query_length": 64},
        splits=("test",),
        # No hub source: the articles' text is put back by Mewsli-X's own script get-mewsli-x.sh (see
        # wikipedia_mentions), from WikiNews under CC BY 2.5.
        folder="mewslix",
        files="mentions",
        sizes={"test": _MENTIONS, "candidates": 1_003_893},
        tokens_per_row=64.0,
    )
)
