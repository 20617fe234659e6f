"""Stilts: grids of intermediate x target x seed fine-tuning, evaluated zero-shot on XTREME."""

__version__ = "0.1.0"
