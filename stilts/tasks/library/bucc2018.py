"""BUCC 2018: mine the translation pairs of two comparable corpora. Nothing is trained; 4 languages and English."""

from stilts.tasks.base import Task, register
from stilts.tasks.benchmarks import XTREME

register(
    Task(
        name="bucc2018",
        version=1,
        family="retrieval",
        languages=XTREME.languages["bucc2018"],
        answers="pairs",
        metric="f1",
        metrics=("f1", "precision", "recall"),
        train_on=None,
        # Layer 14 of 24 with mean pooling, scaled to the depth of the model, which is XTREME's setting for Tatoeba. Its
        # script for BUCC takes the first token of layer 7 of 12 (docs/differences.md).
        settings={"layer": 14, "layers": 24, "pooling": "mean", "max_length": 512},
        # No hub source: google/xtreme holds the gold pairs alone, and mining needs the sentences around them.
        folder="bucc2018",
        files="bucc",
        sizes={
            "dev": {"de": 72_947, "fr": 59_566, "ru": 118_225, "zh": 22_213},
            "test": {"de": 813_206, "fr": 641_684, "ru": 1_019_254, "zh": 183_497},
        },
        tokens_per_row=35.0,
    )
)
