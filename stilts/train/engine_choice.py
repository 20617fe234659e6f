"""The choice of the engine that trains a stage."""

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.deepspeed import DeepSpeedEngine
from stilts.train.engine import Engine
from stilts.train.flat import FlatEngine
from stilts.train.model import Model
from stilts.train.ranks import Ranks


def make_engine(model: Model, recipe: Recipe, runtime: Runtime, ranks: Ranks) -> Engine:
    """Create the engine that `runtime.engine` asks for, with a model in fp32 and AdamW at learning rate 0.

    The master weights are bit-identical to the model's weights. The moments exist from the beginning, so that a resume
    state can be written and loaded at any step.
    """
    if runtime.uses_deepspeed(ranks.world):
        return DeepSpeedEngine(model, recipe, runtime, ranks)
    return FlatEngine(model, recipe, ranks.device)
