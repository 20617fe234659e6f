"""Mewsli-X's English Wikipedia pairs: a mention in its sentence, and the description of the entity it refers to.

A dual encoder is trained to find each mention's entity among those of its block (`train/features.in_blocks`). The dev
score is MAP@20 among the entities of the dev set, which with one right entity is the mean reciprocal rank.
"""

from stilts.tasks.base import Task, register

register(
    Task(
        name="wikipedia_mentions",
        version=1,
        family="dual_encoder",
        languages=("en",),
        metric="map@20",
        metrics=("map@20",),
        train_on="wikipedia_mentions",
        # XTREME-R's script for XLM-R Large, whose steps of 32 pairs consist of four batches of 8, so that each pair has
        # 7 negatives. Here all pairs of a step are contrasted.
        recipe={
            "learning_rate": 1e-5,
            "epochs": 2,
            "max_length": 64,
            "max_query_length": 64,
            "batch_size": 32,
            "weight_decay": 0.0,
        },
        settings={"max_length": 64, "max_query_length": 64},
        splits=("dev",),
        # No hub source: Mewsli-X's own script get-mewsli-x.sh (github.com/google-research/google-research,
        # dense_representations_for_entity_retrieval/mel) makes the files; text under CC BY-SA 3.0, as Wikipedia's.
        folder="wikipedia_mentions",
        files="mention_pairs",
        sizes={"train": 167_719, "dev": 14_051},
        tokens_per_row=120.0,
    )
)
