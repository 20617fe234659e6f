"""Recipes and settings that several tasks of the library share, named by where they were published.

Where XTREME gives a setting for each model, the recipe is the one for XLM-R Large. For mBERT and XLM-R base its scripts
use a learning rate of 2e-5 on XNLI and XCOPA (`docs/differences.md`).
"""

from typing import Any


def xtreme_recipe(learning_rate: float, epochs: int) -> dict[str, Any]:
    """XTREME's baseline scripts for classification, multiple choice and tagging (google-research/xtreme, scripts/).

    The scripts evaluate dev every 100 to 1,000 steps; here dev is evaluated once per epoch.
    """
    return {
        "learning_rate": learning_rate,
        "epochs": epochs,
        "max_length": 128,
        "batch_size": 32,
        "selection": "best-dev",
    }


XTREME_QA_RECIPE: dict[str, Any] = {
    "learning_rate": 3e-5,
    "epochs": 3,
    "max_length": 384,
    "stride": 128,
    "max_query_length": 64,
    "batch_size": 32,
    "warmup": 500,
    "weight_decay": 1e-4,
    "selection": "last",
}
"""XTREME's baseline script for question answering (in 2020: 2 epochs, batch 16)."""

XTREME_QA_SETTINGS: dict[str, Any] = {
    "max_length": 384,
    "stride": 128,
    "max_query_length": 64,
    "n_best": 20,
    "max_answer_length": 30,
}
"""How XTREME's baseline script for question answering predicts answers, but for the extraction of the text."""


def jiant_recipe(epochs: int, max_length: int) -> dict[str, Any]:
    """jiant's optimisation for XTREME (nyu-mll/jiant): the nearest public stand-in for the study's own recipe.

    The study itself published no hyper-parameters. jiant evaluates dev every 1,000 steps; here dev is evaluated once
    per epoch.
    """
    return {
        "learning_rate": 1e-5,
        "epochs": epochs,
        "max_length": max_length,
        "batch_size": 32,
        "warmup": 0.1,
        "weight_decay": 0.01,
        "selection": "best-dev",
    }
