"""Patterns of the names that stilts gives in a store, for what looks for its garbage and for its orphaned files."""

from stilts.identity.stage import SHORT

KEY = rf"[0-9a-f]{{{SHORT}}}"
"""The beginning of a key, in names of stages, tables and base models."""
GENERATED = rf"generated-{KEY}"
"""Folder of a generated corpus."""
INDEX = r"[0-9a-f]{24}\.json"
"""Index entry of a source file."""
DOCTOR = r"[0-9a-f]{32}"
"""Folder in which `stilts doctor` tries a store."""
RUN = r"experiments/[^/]+/runs/[0-9a-f]{12}"
"""Path of the folder of a run."""
