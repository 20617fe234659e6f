"""The version of stilts."""

__version__ = "0.1.0"
