"""The choice of the engine that trains a stage, and of how the model is loaded for it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.deepspeed import BUCKET, DeepSpeedEngine, engine_config, prepare_deepspeed
from stilts.train.engine import Engine
from stilts.train.flat import FlatEngine
from stilts.train.heads import HeadSpec
from stilts.train.model import Model, checked_folder
from stilts.train.precision import DTYPES
from stilts.train.ranks import Ranks
from stilts.train.sharded import load_sharded

log = logging.getLogger(__name__)


def load_for_training(
    weights: Path, specs: Sequence[HeadSpec], recipe: Recipe, runtime: Runtime, ranks: Ranks
) -> Model:
    """Load a model for a stage (collective).

    Under ZeRO 3 on several ranks, the encoder is divided over them while it is loaded, and no rank holds a whole copy.

    Raises:
        StiltsError: as `Model.load`.
    """
    seed = recipe.seed_of("head")
    if runtime.zero_stage < 3 or ranks.world == 1:
        return Model.load(weights, specs, seed)
    checked_folder(weights)
    prepare_deepspeed(ranks.device.type)
    config = engine_config(recipe, runtime, ranks.world, BUCKET)
    encoder = load_sharded(weights, config, DTYPES[recipe.precision], ranks.device)
    if encoder is None:
        log.warning("%s: the tensors are stored in another form than the encoder's; every rank loads them all", weights)
    return Model.load(weights, specs, seed, encoder=encoder)


def make_engine(model: Model, recipe: Recipe, runtime: Runtime, ranks: Ranks) -> Engine:
    """Create the engine that `runtime.engine` asks for, with a model in fp32 and AdamW at learning rate 0.

    The master weights are bit-identical to the model's weights. The moments exist from the beginning, so that a resume
    state can be written and loaded at any step.
    """
    if runtime.uses_deepspeed(ranks.world):
        return DeepSpeedEngine(model, recipe, runtime, ranks)
    return FlatEngine(model, recipe, ranks.device)
