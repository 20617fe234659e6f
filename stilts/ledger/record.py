"""Records: JSON files that say what was run, on what, and with what result. Complete or absent, and never edited."""

import hashlib
import json
import logging
from collections.abc import Iterator
from typing import Any

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, EvaluationSpec
from stilts.ledger.plain_json import read_object, warn_damaged
from stilts.ledger.sections import has_known_types
from stilts.plan.todo import Artifact
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Corrupt, Fence, Store, is_manifest
from stilts.tasks.score import main_number

log = logging.getLogger(__name__)

SCHEMA = 1
"""Version of the format of records. A reader accepts every version up to its own."""

MODEL_CARD = "README.md"
"""Name of the model card of kept weights."""

_RECORD = ".record.json"
_TRAINED_AGAIN = "the stage counts as missing and is trained again"
_EVALUATED_AGAIN = "the evaluation counts as missing and is done again"


def stage_path(name: str) -> str:
    """Return the folder of a stage in the store."""
    return f"stages/{name}"


def read_stage(store: Store, name: str) -> dict[str, Any] | None:
    """Return the record of a stage; None if the stage is not done or its record cannot be read.

    A record without a name, with neither a key nor weights, whose payload does not hash to its key, or that is in the
    folder of another stage, was damaged or moved. It counts as absent, and the stage is trained again.
    """
    path = f"{stage_path(name)}/record.json"
    record = _read_json(store, path, _TRAINED_AGAIN)
    if record is None or _is_whole(record, name):
        return record
    log.warning(
        "%s/%s: the record is not what was written (it lacks its key, or has that of something else) and is not used",
        store.uri,
        path,
    )
    return None


def _is_whole(record: dict[str, Any], name: str) -> bool:
    """Whether a record names its stage, and its name, key and payload agree with each other and with the folder."""
    own, key, payload = record.get("name"), record.get("key"), record.get("payload")
    if not isinstance(own, str) or own[-SHORT:] != name[-SHORT:]:
        return False
    manifest = record.get("weights")
    if not (manifest is None or is_manifest(manifest)) or not has_known_types(record):
        return False
    if key is None and payload is None:
        return "weights" in record
    if payload is None or not isinstance(key, str) or key[:SHORT] != name[-SHORT:]:
        return False
    try:
        return digest(payload) == key
    except (ValueError, RecursionError):
        return False


def write_stage(store: Store, name: str, record: dict[str, Any], fence: Fence | None = None) -> None:
    """Write the record of a finished stage, after its weights.

    A stage is trained again if its weights were lost or not kept. The new record then replaces the old one, because it
    has the digests of the new weights.

    Args:
        fence: as for `Store.write`.
    """
    store.write(f"{stage_path(name)}/record.json", _json({"schema": SCHEMA, "name": name, **record}), fence)


def read_failure(store: Store, name: str) -> dict[str, Any] | None:
    """Why the last attempt at a stage ended without a record; None if it did not fail or will be repeated.

    Returns:
        `status` (`failed` or `diverged`), `error` and `time`, and what else `write_failure` was given.
    """
    ending = read_ending(store, name)
    return ending if ending is not None and ending["status"] in ("failed", "diverged") else None


def read_ending(store: Store, name: str) -> dict[str, Any] | None:
    """How the last attempt at a stage ended that did not finish it; None if this is not known.

    Returns:
        as `read_failure`. The status may also be `lost`, if the attempt is repeated.
    """
    ending = _read_json(store, _ending_path(name))
    known = ending is not None and all(isinstance(ending.get(field), str) for field in ("status", "error"))
    return ending if known else None


def write_failure(store: Store, name: str, ending: dict[str, Any]) -> None:
    """Write how an attempt ended that did not finish its stage, without secrets. A later success removes it.

    Args:
        ending: `status` (`failed`, `diverged`, or `lost` if the attempt is repeated), `error` in one sentence, `time`
            in seconds since 1970, and where known `traceback`, `cause`, `attempt`, `node`, `pid` and `rank`.
    """
    ending = {name: redact(value) if isinstance(value, str) else value for name, value in ending.items()}
    store.write(_ending_path(name), _json({"schema": SCHEMA, **ending}))


def clear_failure(store: Store, name: str) -> None:
    """Remove how an earlier attempt ended."""
    store.remove(_ending_path(name))


def _ending_path(name: str) -> str:
    return f"{stage_path(name)}/failure.json"


def write_evaluation(
    store: Store,
    name: str,
    spec: EvaluationSpec,
    predictions: bytes,
    suffix: str,
    record: dict[str, Any],
    fence: Fence | None = None,
) -> None:
    """Store an evaluation: the predictions, then the record that names their digest.

    Args:
        fence: as for `Store.write`.
    """
    stem = f"{stage_path(name)}/{spec.path}"
    store.write(stem + suffix, predictions, fence)
    digest = hashlib.sha256(predictions).hexdigest()
    file = {"suffix": suffix, "bytes": len(predictions), "sha256": digest}
    identity = {"task": spec.task, "split": spec.split, "language": spec.language, "key": spec.key}
    content = _json({"schema": SCHEMA, "stage": name, **identity, "predictions": file, **record})
    store.write(stem + _RECORD, content, fence)


def read_evaluation(store: Store, name: str, spec: EvaluationSpec) -> dict[str, Any] | None:
    """Return the record of an evaluation; None if it is not done."""
    return _read_evaluation(store, f"{stage_path(name)}/{spec.path}{_RECORD}")


def read_evaluations(store: Store, name: str) -> list[dict[str, Any]]:
    """Records of all evaluations of a stage, by task and file name."""
    root = f"{stage_path(name)}/evaluations"
    folders = [f"{root}/{task}" for task in sorted(store.list(root))]
    paths = [f"{folder}/{file}" for folder in folders for file in sorted(store.list(folder)) if file.endswith(_RECORD)]
    records = parallel_map(store, lambda path: _read_evaluation(store, path), paths)
    return [record for record in records if record is not None]


def read_predictions(store: Store, name: str, spec: EvaluationSpec) -> bytes | None:
    """Return the predictions of an evaluation in XTREME's file format; None if there are none.

    Raises:
        Corrupt: they are not what was written.
    """
    record = read_evaluation(store, name, spec)
    if record is None:
        return None
    stem = f"{stage_path(name)}/{spec.path}"
    content = _predictions(store, stem, record)
    if content is None:
        raise Corrupt(f"{store.uri}/{stem}: its predictions are not what was written; run again to rebuild them")
    return content


def write_model_card(store: Store, name: str, text: str) -> None:
    """Write the model card of a stage's weights, replacing an older one."""
    store.write(f"{stage_path(name)}/{MODEL_CARD}", text.encode())


def drop_weights(store: Store, name: str) -> None:
    """Remove the weights of a stage and their model card."""
    store.remove(f"{stage_path(name)}/{MODEL_CARD}")
    store.remove(f"{stage_path(name)}/weights")


def take_inventory(store: Store, keys: set[str] | None = None, *, verify: bool = False) -> dict[str, Artifact]:
    """Return the artifacts of the store, by the first 12 digits of their keys.

    Args:
        keys: short keys to look at; None for all.
        verify: check every file of weights (see `Store.has_tree`) and of predictions. A file that differs from what was
            written counts as absent.
    """
    names = [name for name in store.list("stages") if keys is None or name[-SHORT:] in keys]
    found: dict[str, Artifact] = {}
    for artifact in parallel_map(store, lambda name: _artifact(store, name, verify), names):
        short = artifact.name[-SHORT:]
        if not (short in found and found[short].trained):
            found[short] = artifact
    return found


def _artifact(store: Store, name: str, verify: bool) -> Artifact:
    record = read_stage(store, name)
    return Artifact(
        name=name,
        trained=record is not None,
        weights=record is not None and _has_weights(store, name, record, verify),
        exact=record is None or record.get("weights_precision", "fp32") == "fp32",
        evaluations=frozenset(_evaluations(store, name, verify)),
        dev=None if record is None else _dev_score(record),
    )


def _dev_score(record: dict[str, Any]) -> float | None:
    dev = record.get("dev")
    score = dev.get("score") if isinstance(dev, dict) else None
    return float(score) if isinstance(score, int | float) else None


def _has_weights(store: Store, name: str, record: dict[str, Any], verify: bool) -> bool:
    manifest = record.get("weights")
    path = f"{stage_path(name)}/weights"
    if not manifest:
        return False
    if not verify:
        return {file.partition("/")[0] for file in manifest} <= set(store.list(path))
    return store.has_tree(path, manifest)


def _evaluations(store: Store, name: str, verify: bool) -> Iterator[str]:
    root = f"{stage_path(name)}/evaluations"
    for task in store.list(root):
        files = set(store.list(f"{root}/{task}"))
        for file in files:
            if not file.endswith(_RECORD):
                continue
            stem = file.removesuffix(_RECORD)
            if not any(stem + suffix in files for suffix in (".tsv", ".json", ".jsonl")):
                continue
            if not verify or _intact(store, f"{root}/{task}/{stem}"):
                yield f"evaluations/{task}/{stem}"


def _intact(store: Store, stem: str) -> bool:
    record = _read_evaluation(store, stem + _RECORD)
    return record is not None and _predictions(store, stem, record) is not None


def _predictions(store: Store, stem: str, record: dict[str, Any]) -> bytes | None:
    """Predictions that the record of an evaluation names; None if they are missing or differ from what was written."""
    file = record.get("predictions")
    if file is None:
        return None
    content = store.read(stem + file["suffix"])
    return content if content is not None and hashlib.sha256(content).hexdigest() == file["sha256"] else None


def _read_json(store: Store, path: str, then: str = "it is ignored") -> dict[str, Any] | None:
    record = read_object(store, path, then)
    if record is None:
        return None
    if type(record.get("schema")) is not int:
        warn_damaged(store, path, then)
        return None
    if record["schema"] > SCHEMA:
        raise Corrupt(
            f"{store.uri}/{path} was written by a newer stilts (schema {record['schema']}); upgrade to read it"
        )
    return record


def _is_evaluation(record: dict[str, Any]) -> bool:
    """Whether the fields of an evaluation's record that others read have the types that they are written with."""
    file, metrics, extra = record.get("predictions"), record.get("metrics"), record.get("extra", {})
    return (
        isinstance(file, dict)
        and all(isinstance(file.get(name), str) for name in ("suffix", "sha256"))
        and (metrics is None or (isinstance(metrics, dict) and _are_metrics(record.get("task"), metrics)))
        and (isinstance(extra, dict) and all(map(_is_number, extra.values())))
        and _is_number(record.get("examples", 0))
    )


def _are_metrics(task: Any, metrics: dict[str, Any]) -> bool:
    """Whether all metrics are numbers and the main one of the task is among them."""
    if not all(map(_is_number, metrics.values())):
        return False
    try:
        return not metrics or _is_number(main_number(task, metrics))
    except (KeyError, TypeError, AttributeError, StiltsError):
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_evaluation(store: Store, path: str) -> dict[str, Any] | None:
    record = _read_json(store, path, _EVALUATED_AGAIN)
    if record is None or _is_evaluation(record):
        return record
    warn_damaged(store, path, _EVALUATED_AGAIN)
    return None


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
