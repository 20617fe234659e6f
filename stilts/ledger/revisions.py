"""Commits of hub revisions that are names, looked up once for an experiment and kept in its store.

A branch or a pull request of the hub can move. The first commit that a name was resolved to stays the experiment's, so
that its keys do.
"""

import json
from typing import TypeVar

from stilts.encoders.pins import is_commit, resolve_revision
from stilts.errors import StiltsError
from stilts.experiment.experiment import Experiment
from stilts.ledger.plain_json import read_object
from stilts.storage.protocol import Store

Declared = TypeVar("Declared", bound=Experiment)


def pin_revisions(experiment: Declared, store: Store) -> Declared:
    """The experiment with a commit for every revision that is a name.

    A commit comes from the store, from the Hugging Face cache of this machine, or from the hub. Where none of them has
    one, the name stays: it can be planned and not run.
    """
    noted = _noted(experiment, store)
    models = dict(experiment.models)
    for name, model in models.items():
        if model.hub is None or model.revision is None or is_commit(model.revision):
            continue
        try:
            commit = noted.get(f"{model.hub}@{model.revision}") or resolve_revision(model.hub, model.revision)
        except StiltsError:
            continue
        models[name] = model.model_copy(update={"revision": commit})
    return experiment if models == experiment.models else experiment.model_copy(update={"models": models})


def record_revisions(declared: Experiment, pinned: Experiment, store: Store) -> None:
    """Keep the commits in the store; those that are there already stay."""
    found = {
        f"{model.hub}@{model.revision}": pinned.models[name].revision
        for name, model in declared.models.items()
        if model.hub is not None and model.revision != pinned.models[name].revision
    }
    if found:
        store.write(_path(pinned), json.dumps({**found, **_noted(pinned, store)}, indent=2).encode())


def _noted(experiment: Experiment, store: Store) -> dict[str, str]:
    found = read_object(store, _path(experiment), "the revisions are looked up again") or {}
    return {str(name): commit for name, commit in found.items() if isinstance(commit, str)}


def _path(experiment: Experiment) -> str:
    return f"experiments/{experiment.name}/known/revisions.json"
