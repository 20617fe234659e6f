"""Model card of a stage whose weights are kept: how the weights were trained, and their scores.

The card is a Hugging Face model card (YAML metadata followed by Markdown), `stages/NAME/README.md`. It is generated
from the records in the store alone. It is stored next to the folder of the weights and not inside it, because the
stage's record lists the digests of the files in that folder before there are scores. The card names no licence: the
owner of the weights chooses one.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT
from stilts.ledger.record import read_evaluations, read_stage, stage_path
from stilts.storage.protocol import Store
from stilts.tasks.base import get_task
from stilts.tasks.score import main_number

_HUB = re.compile(r"hub:([^@#]+?)/[^/@#]*@")
"""Matches the identity of data from the hub; group 1 is the id of the data set."""

Record = Mapping[str, Any]


def model_card(store: Store, name: str) -> str:
    """Return the model card of a trained stage as text.

    Raises:
        StiltsError: the stage, or an ancestor of it that the store lists, has no record.
    """
    chain = _chain(store, name)
    measured = [found for found in read_evaluations(store, name) if found["condition"] is None and found["metrics"]]
    sections = [
        f"---\n{_metadata(name, chain, measured).to_yaml()}\n---",
        f"# {name}",
        _what_it_is(chain),
        "## How it was made",
        _table(("stage", "trained on", "seed", "steps", "examples", "dev score"), map(_made, chain)),
        "Its recipe:",
        _table(("field", "value"), _recipe(chain[-1])),
        "## Data",
        _table(("task", "split", "language", "identity"), _data(chain)),
        "## Scores",
        _dev(chain[-1]),
        _scores(measured),
        "## Use",
        _use(name),
        "## Licence",
        "None is stated here. Those of the base model and of the data hold for what is made of them.",
        "## Record",
        _table(("", ""), _circumstances(chain[-1])),
    ]
    return "\n\n".join(sections) + "\n"


def _chain(store: Store, name: str) -> list[Record]:
    """Records of the stage and its ancestors, the base model first."""
    names = {found[-SHORT:]: found for found in store.list("stages")}
    chain: list[Record] = []
    following: str | None = name
    while following is not None:
        record = read_stage(store, following)
        if record is None:
            raise StiltsError(f"{store.uri}/{stage_path(following)} has no record; a model card is made of it")
        chain.insert(0, record)
        parent = record["payload"].get("parent")
        following = None if parent is None else names.get(parent[:SHORT])
    return chain


def _metadata(name: str, chain: Sequence[Record], measured: Sequence[Record]) -> ModelCardData:
    parts = [part for record in chain for part in record["payload"].get("parts", ())]
    references = [reference for part in parts for reference in part["train"]]
    hub = [found[1] for _, _, identity in references if (found := _HUB.match(identity))]
    tasks = [part["task"]["name"] for part in parts]
    return ModelCardData(
        language=sorted({language for _, language, _ in references if re.fullmatch(r"[a-z]{2,3}", language)}) or None,
        library_name="transformers",
        base_model=chain[0]["payload"].get("base", {}).get("hub"),
        datasets=list(dict.fromkeys(hub)) or None,
        tags=["stilts", "cross-lingual-transfer", *dict.fromkeys(tasks)],
        model_name=name,
        eval_results=[_eval_result(found) for found in measured] or None,
    )


def _eval_result(found: Record) -> EvalResult:
    return EvalResult(
        task_type=get_task(found["task"]).family.replace("_", "-"),
        dataset_type=found["task"],
        dataset_name=found["task"],
        dataset_config=found["language"],
        dataset_split=found["split"],
        metric_type=_metric(found),
        metric_value=round(main_number(found["task"], found["metrics"]), 2),
    )


def _metric(found: Record) -> str:
    """Name of the metric that is the main number of an evaluation."""
    metrics = found["metrics"]
    return "mean of exact match and F1" if set(metrics) == {"exact_match", "f1"} else get_task(found["task"]).metric


def _what_it_is(chain: Sequence[Record]) -> str:
    tasks = ", then on ".join(_tasks(record) for record in chain if "parts" in record["payload"])
    return f"Made by [stilts](https://arxiv.org/abs/2005.13013) from {_base(chain[0])}, trained on {tasks}."


def _base(record: Record) -> str:
    identity = record["payload"].get("base", {})
    if "hub" in identity:
        return f"[{identity['hub']}](https://huggingface.co/{identity['hub']}) at revision `{identity['revision']}`"
    if "init" in identity:
        return "an encoder with random weights"
    return f"local files (sha256 `{identity['files']}`)" if "files" in identity else "a stage whose record is gone"


def _tasks(record: Record) -> str:
    return " + ".join(part["task"]["name"] for part in record["payload"].get("parts", ())) or "-"


def _made(record: Record) -> tuple[Any, ...]:
    train, dev = record.get("train", {}), record.get("dev", {})
    score = dev.get("score")
    return (
        f"`{record['name']}`",
        _tasks(record),
        _seed(record["payload"]),
        train.get("steps", "-"),
        train.get("examples", "-"),
        "-" if score is None else f"{score:.2f} ({dev['metric']})",
    )


def _seed(payload: Record) -> str:
    """The seed of a stage as text. If its seeds (order, dropout, data ...) differ, each is listed with its name.

    Records of older versions have a single number, `seed`.
    """
    recipe = payload.get("recipe", {})
    seeds = {**recipe.get("seeds", {}), **({"seed": recipe["seed"]} if "seed" in recipe else {})}
    drawn = {part["data_seed"] for part in payload.get("parts", ()) if part.get("data_seed") is not None}
    if drawn:
        seeds["data"] = drawn.pop()
    if len(set(seeds.values())) <= 1:
        return str(next(iter(seeds.values()), "-"))
    return ", ".join(f"{part} {seed}" for part, seed in seeds.items())


def _recipe(record: Record) -> list[tuple[str, Any]]:
    payload = record["payload"]
    recipe = {name: value for name, value in payload.get("recipe", {}).items() if name != "seeds"}
    rows = [(name, value) for name, value in recipe.items() if value is not None]
    for part in payload.get("parts", ()):
        rows += [(f"{part['task']['name']}: {n}", value) for n, value in part["examples"].items() if value is not None]
    mixing = payload.get("mixing")
    return rows + ([("mixing", f"`{json.dumps(mixing)}`")] if mixing else [])


def _data(chain: Sequence[Record]) -> list[tuple[str, ...]]:
    rows = []
    for part in (part for record in chain for part in record["payload"].get("parts", ())):
        rows += [(task, "train", language, f"`{identity}`") for task, language, identity in part["train"]]
        if part["dev"] is not None:
            rows.append((part["task"]["name"], "dev", part["dev"][0], f"`{part['dev'][1]}`"))
    return list(dict.fromkeys(rows))


def _dev(record: Record) -> str:
    dev, steps = record["dev"], record["train"]["best_step"]
    if dev["score"] is None:
        return "No dev data chose among its weights: they are the last."
    return f"Dev, which chose the weights of step {steps}: {dev['score']:.2f} ({dev['metric']})."


def _scores(measured: Sequence[Record]) -> str:
    if not measured:
        return "It was not evaluated on the data of a target itself."
    rows = [
        (
            found["task"],
            found["split"],
            found["language"],
            _metric(found),
            f"{main_number(found['task'], found['metrics']):.2f}",
        )
        for found in measured
    ]
    return _table(("task", "split", "language", "metric", "percent"), rows)


def _use(name: str) -> str:
    return f"""\
The encoder and its tokenizer, with this folder's `weights` (of a store in a bucket, fetch the folder that the object
`weights` names):

```python
from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("stages/{name}/weights")
tokenizer = AutoTokenizer.from_pretrained("stages/{name}/weights")
```

The heads that it was trained with are in `head.safetensors`, which transformers does not read."""


def _circumstances(record: Record) -> list[tuple[str, Any]]:
    runtime = record["runtime"]
    versions = ", ".join(f"{package} {version}" for package, version in record["versions"].items())
    return [
        ("key", f"`{record['key']}`"),
        ("finished", record["finished"]),
        ("versions", versions),
        ("ranks", runtime["ranks"]),
        ("ZeRO stage", runtime["zero_stage"]),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(value) for value in line) + " |" for line in lines)
