"""One file per encoder architecture; see `stilts/encoders/architectures.py` for what an entry says.

Sources of the facts: the modelling, tokenization and configuration files of transformers 5 for each type. Sources of
the revisions: the hub pages of the checkpoints and the config.json that they show, read in November 2026.
"""
