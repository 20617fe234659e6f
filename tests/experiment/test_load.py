"""Loading: every mistake at once, with its line; YAML as people write it; overrides; environment; round trips."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stilts.errors import Problems, StiltsError
from stilts.experiment.experiment import Experiment
from stilts.experiment.load import load_experiment, load_tuning, read_resolved, resolved_yaml
from stilts.experiment.search import Tuning

GOOD = """\
name: small
seeds: [1, 2]
models:
  xlmr: {hub: FacebookAI/xlm-roberta-base, revision: e73636d}
intermediates: [none, mnli]
targets: [xnli, xquad]
"""


@pytest.fixture
def load(tmp_path: Path):
    def load(text: str | bytes, *overrides: str, **environment: str) -> Experiment:
        file = tmp_path / "e.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_experiment(file, overrides, environment)

    return load


def test_a_named_pipe_without_a_writer_is_refused_and_one_of_the_shell_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "e.yaml"
    os.mkfifo(pipe)
    with pytest.raises(StiltsError, match=r"e\.yaml is a named pipe; write the experiment to a file"):
        load_experiment(pipe)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"):
        with os.fdopen(writer, "wb") as file:
            file.write(GOOD.encode())
        assert load_experiment(Path(f"/dev/fd/{reader}")).name == "small"


@pytest.fixture
def problems(load, tmp_path: Path):
    def problems(text: str, *overrides: str, **environment: str) -> list[str]:
        with pytest.raises(Problems) as caught:
            load(text, *overrides, **environment)
        return [message.replace(f"{tmp_path}/", "") for message in caught.value.messages]

    return problems


def _plus(line: str) -> str:
    return f"{GOOD}{line}\n"


def test_a_good_file(load) -> None:
    experiment = load(GOOD)
    assert experiment.seeds == (1, 2)
    assert list(experiment.intermediates) == ["none", "mnli"]
    assert experiment.intermediates["none"].stages == ()
    assert experiment.intermediates["mnli"].stages[0].task == "mnli"
    assert experiment.splits == ("test",)


# --- mistakes ----------------------------------------------------------------------------------------------


def test_all_mistakes_come_at_once_with_their_lines(problems) -> None:
    text = """\
nam: small
seeds: [1, 1]
seeds: [2]
models:
  a: {path: x, revision: y}
  b: {init: {config: {}, tokenizer: {vocab: 3}}}
intermediates: [none, mnli, mnli]
targets:
  xnli: {language: [en]}
recipe: {learning_rat: 1e-5, epochs: -1}
recipes:
  squad: {warmups: 3}
runtime: {zero_stage: 4, rank: 2}
data:
  xtrem: /x
  tasks:
    mlm: {trian: x}
store: ${NOWHERE}/x
"""
    assert sorted(problems(text)) == sorted(
        [
            "e.yaml:3: seeds: given twice",
            "e.yaml:18: store: the environment variable NOWHERE is not set; export it, or use --set",
            "e.yaml:1: name: is required",
            "e.yaml:1: nam: unknown key; did you mean 'name'?",
            "e.yaml:3: seeds: 1 is given twice",
            "e.yaml:5: models.a: revision is that of a hub model; give hub, or leave it out",
            "e.yaml:6: models.b.init.tokenizer.vocab_size: is required",
            "e.yaml:6: models.b.init.tokenizer.vocab: unknown key; did you mean 'vocab_size'?",
            "e.yaml:7: intermediates: 'mnli' is given twice",
            "e.yaml:9: targets.xnli.language: unknown key; did you mean 'languages'?",
            "e.yaml:10: recipe.learning_rat: unknown key; did you mean 'learning_rate'?",
            "e.yaml:10: recipe.epochs: should be greater than 0, not a number (-1)",
            "e.yaml:12: recipes.squad.warmups: unknown key; did you mean 'warmup'?",
            "e.yaml:13: runtime.zero_stage: should be less than or equal to 3, not a number (4)",
            "e.yaml:13: runtime.rank: unknown key; did you mean 'ranks'?",
            "e.yaml:15: data.xtrem: unknown key; did you mean 'xtreme'?",
            "e.yaml:17: data.tasks.mlm.trian: unknown key; did you mean 'train'?",
        ]
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("languages: alll", "languages: should be 'all' or 'present' or a list, not text ('alll')"),
        ("languages: [en, 3]", "languages.1: should be text, not a number (3)"),
        ("languages: [en, en]", "languages: 'en' is given twice"),
        ("splits: [dev, tset]", "splits.1: should be 'dev' or 'test', not text ('tset')"),
        ("splits: []", "splits: is empty"),
        ("recipe: {learning_rate: .nan}", "recipe.learning_rate: .nan is no value for an experiment"),
        ("recipe: {weight_decay: .inf}", "recipe.weight_decay: .inf is no value for an experiment"),
        ("recipe: {seed: 3}", "recipe.seed: unknown key"),
        ("runtime: {gradient_checkpointing: yes}", "should be true or false, not text ('yes')"),
        ("runtime: {ranks: 1.5}", "runtime.ranks: should be a whole number, not a number (1.5)"),
        ("runtime: 3", "runtime: should be a mapping, not a number (3)"),
        ("store: !!binary aGk=", "store: the tag !!binary would change the type of 'aGk='"),
        ("recipe: {<<: {epochs: 1}}", "recipe: << is not read here"),
        ("recipe: {[a]: 1}", "recipe: a key must be a plain word (line 7)"),
        ("recipe: &r {epochs: *r}", "recipe.epochs: an alias refers to the node that holds it (a cycle)"),
        ("recipe: &r [[*r]]", "recipe.0.0: an alias refers to the node that holds it (a cycle)"),
    ],
)
def test_a_mistake(problems, line: str, message: str) -> None:
    found = problems(_plus(line))
    assert any(f"e.yaml:7: {message}" in problem or message in problem for problem in found), found
    assert all(problem.startswith("e.yaml:7: ") for problem in found)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[none, mnli]",
            "{a: [{task: mnli, recip: {}}]}",
            "intermediates.a.0.recip: unknown key; did you mean 'recipe'?",
        ),
        ("[none, mnli]", "{a: [{task: mnli, recipe: {epoch: 1}}]}", "intermediates.a.0.recipe.epoch: unknown key; did"),
        ("[none, mnli]", "{a: [{recipe: {}}]}", "intermediates.a.0: give exactly one of task and mix"),
        ("[none, mnli]", "{a: [{mix: [mnli, squad]}]}", "intermediates.a.0.mix: should be a mapping, not a list"),
        ("[none, mnli]", "{a: [{mix: {tasks: [mnli]}}]}", "intermediates.a.0.mix.tasks: needs at least 2"),
        ("[none, mnli]", "{a: mnli}", "intermediates: 'a' should be a list of stages, not 'mnli'"),
        ("[none, mnli]", "{none: [mnli]}", "intermediates: the regime 'none' is the baseline and has no stages"),
        ("[none, mnli]", "[{mnli: [mnli]}]", "intermediates: where a regime is more than a name, write all of them as"),
        ("[xnli, xquad]", "[xnli, xnli]", "targets: 'xnli' is given twice"),
        ("[xnli, xquad]", "[]", "targets: is empty"),
        ("[xnli, xquad]", "{qa: {task: xquad}}", "targets: 'qa' is the name of an average in the tables"),
        ("[xnli, xquad]", "{../x: {task: xnli}}", "targets.../x: '../x' should begin with a letter or digit and hold"),
        ("seeds: [1, 2]", "seeds: []", "seeds: is empty"),
        ("seeds: [1, 2]", "seeds: [-1]", "seeds.0: should be greater than or equal to 0, not a number (-1)"),
        ("seeds: [1, 2]", "seeds: [true]", "seeds.0: should be a whole number, not a truth value (True)"),
        ("name: small", "name: a/b", "name: 'a/b' should begin with a letter or digit"),
        ("revision: e73636d", "revision: 1e5", "models.xlmr.revision: should be text, not a number (100000.0)"),
        ("revision: e73636d", "path: x", "models.xlmr: give exactly one of hub, path and init"),
        ("hub: FacebookAI/xlm-roberta-base, ", "", "models.xlmr: give exactly one of hub, path and init"),
        (
            "}",
            ", pretrain: [{task: mlm, seeds: 1}]}",
            "models.xlmr.pretrain.0.seeds: unknown key; did you mean 'seed'?",
        ),
    ],
)
def test_a_mistake_in_the_grid(problems, old: str, new: str, message: str) -> None:
    found = problems(GOOD.replace(old, new))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an experiment is a mapping .* this is empty"),
        ("[1]", "an experiment is a mapping .* this is a list"),
        ("just words", "this is text"),
        ("a: [", r"e\.yaml:1: not valid YAML"),
        ("a: b\nc: 'x", r"e\.yaml:2: not valid YAML"),
        ("a: !!python/object:os.system x", r"e\.yaml:1: a: the tag !!python/object:os.system would change the type"),
        ("a: 1\n---\nb: 1", r"e\.yaml:2: not valid YAML"),
        ("name: a\0b", "not valid YAML: unacceptable character #x0000"),
        (b"name: \xff", r"not UTF-8 \(byte 6\)"),
    ],
)
def test_what_is_not_an_experiment_at_all(load, text: str | bytes, message: str) -> None:
    with pytest.raises(StiltsError, match=message):
        load(text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(StiltsError, match=f"cannot read the experiment {path}"):
            load_experiment(path)


# --- YAML as people write it -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [GOOD.replace("\n", "\r\n"), b"\xef\xbb\xbf" + GOOD.encode(), GOOD.rstrip()])
def test_line_ends_and_byte_order_marks(load, text: str | bytes) -> None:
    assert load(text) == load(GOOD)


@pytest.mark.parametrize("number", ["1e-5", "1E-5", "0.00001", "1.0e-05", "+1e-5", "10e-6", ".1e-4"])
def test_numbers_as_people_write_them(load, number: str) -> None:
    assert load(_plus(f"recipe: {{learning_rate: {number}}}")).recipe.learning_rate == 1e-5


def test_norwegian_is_a_language_and_a_date_is_text(load) -> None:
    assert load(_plus("languages: [no, on, y]")).languages == ("no", "on", "y")
    assert load(_plus("store: 2020-01-01")).store == "2020-01-01"


def test_an_alias_repeats_its_value(load) -> None:
    experiment = load(_plus("recipes: {xnli: &r {epochs: 1}, mnli: *r}"))
    assert experiment.recipes["xnli"] == experiment.recipes["mnli"]


def test_null_is_a_value_of_a_recipe(load) -> None:
    assert load(_plus("recipe: {epochs: null}")).recipe.model_dump() == {"epochs": None}
    assert load(GOOD).recipe.model_dump() == {}


# --- overrides and environment -----------------------------------------------------------------------------


def test_overrides(load) -> None:
    experiment = load(
        GOOD, "store=/y", "recipe.learning_rate=1e-4", "seeds=[7]", "targets={xnli: {}}", "targets.xnli.languages=[en]"
    )
    assert experiment.store == "/y"
    assert experiment.recipe.model_dump() == {"learning_rate": 1e-4}
    assert experiment.seeds == (7,)
    assert experiment.targets["xnli"].languages == ("en",)
    assert load(GOOD, "store=a=b").store == "a=b"
    assert load(GOOD, "runtime.max_parallel=").runtime.max_parallel is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("store", "--set store: write it as path.to.field=value"),
        ("=3", "--set =3: write it as path.to.field=value"),
        ("store=[", "--set store=[: the value is not valid YAML"),
        ("name.x=3", "--set name.x=3: name has no fields"),
        ("targets.xnli.languages=[en]", "targets is a list; set all of it, or write it as a mapping"),
        ("seeds.0=3", "seeds is a list; set all of it"),
        ("recipe.epoch=3", "--set: recipe.epoch: unknown key; did you mean 'epochs'?"),
        ("recipe.learning_rate=.nan", "--set: recipe.learning_rate: .nan is no value for an experiment"),
        ("models.xlmr.hub=3", "--set: models.xlmr.hub: should be text, not a number (3)"),
        ("models.xlmr={hub: 3, revision: x}", "--set: models.xlmr.hub: should be text, not a number (3)"),
        ("recipe={epochs: 1, epochs: 2}", "--set: recipe.epochs: given twice"),
        ("recipe={<<: {epochs: 1}}", "--set: recipe: << is not read here"),
        ("seeds=&a [*a]", "--set: seeds.0: an alias refers to the node that holds it (a cycle)"),
        ("store=${NOWHERE}", "--set: store: the environment variable NOWHERE is not set; export it, or use --set"),
    ],
)
def test_a_wrong_override(problems, override: str, message: str) -> None:
    found = problems(GOOD, override)
    assert message in found[0]


def test_a_mistake_beside_an_override_keeps_its_line(problems) -> None:
    assert problems(GOOD.replace("}", ", pathh: x}"), "models.xlmr.hub=x") == [
        "e.yaml:4: models.xlmr.pathh: unknown key; did you mean 'path'?"
    ]


def test_environment(load) -> None:
    text = _plus("store: ${ROOT}/${SUB:-sub}${EMPTY:-}\ndata: {tasks: {mlm: {train: '${ROOT}/{lang}.txt'}}}")
    experiment = load(text, ROOT="/r")
    assert experiment.store == "/r/sub"
    assert experiment.data.tasks["mlm"].train == "/r/{lang}.txt"
    assert load(text, ROOT="/r", SUB="x").store == "/r/x"
    assert load(GOOD, "store=${ROOT}/s", ROOT="/q").store == "/q/s"


def test_the_processs_own_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILTS_TEST_STORE", "/here")
    (tmp_path / "e.yaml").write_text(_plus("store: ${STILTS_TEST_STORE}"))
    assert load_experiment(tmp_path / "e.yaml").store == "/here"


# --- round trip --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("revision: e73636d", "revision: '1e5'"),
        GOOD.replace("[none, mnli]", "{none: [], two: [{task: mnli, recipe: {epochs: null}, seed: 3}, squad]}"),
        GOOD.replace("[xnli, xquad]", "{xnli: {languages: [no, sw]}, xquad: {settings: {max_length: 256}}, tatoeba: }"),
        GOOD.replace("}", ", pretrain: [mlm]}"),
        _plus("recipe: {learning_rate: 1e-5}\nrecipes: {squad: {warmup: 0.1}}\nintermediate_seeds: shared"),
        _plus("languages: [no, 'true', '1e3', '2020-01-01', 'null']\nstore: ไทย é\nresults: '1:30'"),
        _plus("data: {generate: {languages: 2}, tasks: {mlm: {train: 'x/{lang}'}}}\nruntime: {keep: all}"),
    ],
)  # fmt: skip
def test_resolved_yaml_reads_back_equal(load, text: str) -> None:
    experiment = load(text)
    again = load(resolved_yaml(experiment))
    assert again == experiment
    assert resolved_yaml(again) == resolved_yaml(experiment)


def test_resolved_yaml_keeps_what_was_not_given_apart(load) -> None:
    """A recipe field at its default is still not given: the task's own value must win over it."""
    assert load(resolved_yaml(load(GOOD))).recipe.model_dump() == {}


JOBS = Path(__file__).parents[2] / "ray_jobs"
SEARCHES = sorted(JOBS.glob("tune_*.yaml"))
SHARDED = JOBS / "sharded.yaml"
STUDIES = sorted({*JOBS.glob("*.yaml")} - {*SEARCHES, SHARDED})


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.name)
def test_the_studies_load(file: Path) -> None:
    assert load_experiment(file, environment={}).name == file.stem.replace("_", "-")


@pytest.mark.parametrize("file", [file for file in STUDIES if "--with" in file.read_text()], ids=lambda file: file.name)
def test_the_small_form_that_a_study_names_loads(file: Path) -> None:
    """What stands in its header as `--with FILE`, laid over it."""
    patches = [file.parents[1] / name for name in re.findall(r"--with (\S+)", file.read_text())]
    study, small = (
        load_experiment(file),
        load_experiment(file, environment={"XTREME_DATA": "/d", "LAPTOP_DATA": "/d"}, patches=patches),
    )
    assert list(small.intermediates) == list(study.intermediates)
    assert set(small.targets) <= set(study.targets)
    assert list(small.models) == list(study.models)
    # The laptop study's model is small itself.
    assert all(model.init or name == "e5" for name, model in small.models.items())


@pytest.mark.parametrize("file", SEARCHES, ids=lambda file: file.name)
def test_the_searches_load(file: Path) -> None:
    """As they are, and in the small form that their header names."""
    patches = [file.parents[1] / name for name in re.findall(r"--with (\S+mini\S+)", file.read_text())]
    for given in ([], patches):
        found = load_tuning(file, environment={"XTREME_DATA": "/d"}, patches=given)
        assert (found.name, found.search.target) == (file.stem.replace("_", "-"), file.stem.removeprefix("tune_"))


# --- patches -------------------------------------------------------------------------------------------------


def _patched(tmp_path: Path, *patches: str) -> Experiment:
    files = []
    for number, text in enumerate((GOOD, *patches)):
        files.append(tmp_path / f"p{number}.yaml")
        files[-1].write_text(text)
    return load_experiment(files[0], patches=files[1:])


def test_a_patch_merges_replaces_and_removes(tmp_path: Path) -> None:
    """RFC 7396: mappings merge, lists and values replace, an empty value removes."""
    model = "models: {xlmr: {hub:, revision:, init: {config: {hidden_size: 8}, tokenizer: {vocab_size: 50}}}}"
    found = _patched(tmp_path, f"{model}\nseeds: [7]\nrecipe: {{epochs: 1}}", "recipe: {batch_size: 2}")
    assert found.models["xlmr"].hub is None
    assert found.models["xlmr"].init is not None
    assert found.seeds == (7,)
    assert found.recipe.model_dump() == {"epochs": 1, "batch_size": 2}
    assert list(found.intermediates) == ["none", "mnli"]


def test_a_mistake_in_a_patch_is_told_with_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        _patched(tmp_path, "seeds: [3]\nrecipe:\n  epochs: 1\n  epoch: 2\nname: a/b")
    problems = sorted(caught.value.messages)
    assert problems[0].endswith("p1.yaml:4: recipe.epoch: unknown key; did you mean 'epochs'?")
    assert "p1.yaml:5: name:" in problems[1]
    assert len(problems) == 2


# --- values that are bounded ---------------------------------------------------------------------------------

TOO_LARGE = 2**32


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (GOOD.replace("[1, 2]", f"[{TOO_LARGE}]"), "seeds.0"),
        (GOOD.replace("[1, 2]", f"[{2**63}]"), "seeds.0"),
        (GOOD.replace("[1, 2]", f"[{'9' * 300}]"), "seeds.0"),
        (GOOD.replace("[none, mnli]", f"{{a: [{{task: mnli, seed: {TOO_LARGE}}}]}}"), "intermediates.a.0.seed"),
        (_plus(f"noise: {{kinds: [swap], rates: [0.1], seed: {TOO_LARGE}}}"), "noise.seed"),
        (_plus(f"data: {{generate: {{seed: {TOO_LARGE}}}}}"), "data.generate.seed"),
        (
            GOOD.replace(
                "hub: FacebookAI/xlm-roberta-base, revision: e73636d",
                f"init: {{config: {{}}, tokenizer: {{vocab_size: 50}}, seed: {TOO_LARGE}}}",
            ),
            "models.xlmr.init.seed",
        ),
        (_plus("noise: {kinds: [swap], rates: [1.5]}"), "noise.rates.0"),
        (_plus("noise: {kinds: [swap], rates: [0]}"), "noise.rates.0"),
        (_plus("data: {generate: {languages: 521}}"), "data.generate.languages"),
        (GOOD.replace("[none, mnli]", "{a: {stages: [mnli], budget: {steps: 10000000000000}}}"), "a.budget.steps"),
        (
            GOOD.replace(
                "hub: FacebookAI/xlm-roberta-base, revision: e73636d",
                "init: {config: {}, tokenizer: {vocab_size: 1}}",
            ),
            "models.xlmr.init.tokenizer.vocab_size",
        ),
        *(
            (_plus(f"recipe: {{{name}: {value}}}"), f"recipe.{name}")
            for name, value in [
                ("learning_rate", 2), ("epochs", "1e-12"), ("epochs", "1e18"), ("max_steps", 10**13),
                ("max_tokens", 10**13), ("batch_size", 2**21), ("max_length", 2**21), ("max_length", -1), ("stride", 0),
                ("max_query_length", 10**9), ("warmup", -0.1), ("warmup", 1.5), ("warmup", "1e13"),
                ("weight_decay", 2), ("adam_epsilon", 2.5), ("max_grad_norm", "1e13"), ("mlm_probability", 1),
                ("language_exponent", 1.1), ("evaluate_every", 10**13), ("max_examples", 10**13),
            ]
        ),
        *(
            (_plus(f"runtime: {{{name}: {value}}}"), f"runtime.{name}")
            for name, value in [
                ("ranks", 10**7), ("cpus_per_rank", "1e13"), ("max_parallel", 10**13), ("max_retries", 10**13),
                ("tokens_per_micro_batch", 10**13), ("checkpoint_seconds", "1e13"), ("idle_seconds", "1e13"),
            ]
        ),
        (_plus("cluster: {nodes: {a: {gpus: 10000000, cpus: 4}}}"), "cluster.nodes.a.gpus"),
        (_plus("cluster: {nodes: {a: {cpus: 4, max_nodes: 10000000}}}"), "cluster.nodes.a.max_nodes"),
        (_plus("cluster: {nodes: {a: {cpus: 4, price_per_hour: 1e13}}}"), "cluster.nodes.a.price_per_hour"),
    ],
)  # fmt: skip
def test_a_value_beyond_its_bounds_is_told(problems, text: str, place: str) -> None:
    (message,) = problems(text)
    assert f"{place}: " in message


@pytest.mark.parametrize("field", ["sampler_seed: %d", "seeds: [%d]"])
def test_the_seeds_of_a_search_are_bounded(field: str, tmp_path: Path) -> None:
    for seed, right in ((TOO_LARGE - 1, True), (TOO_LARGE, False)):
        text = f"search: {{target: xnli, space: {{epochs: {{low: 1, high: 3}}}}, {field % seed}}}"
        (tmp_path / "s.yaml").write_text(_plus(text))
        if right:
            load_tuning(tmp_path / "s.yaml")
        else:
            with pytest.raises(Problems, match=r"seed.*should be less than or equal to 4294967295"):
                load_tuning(tmp_path / "s.yaml")


def _integers(kind: Any, path: tuple[str, ...] = (), seen: tuple[Any, ...] = ()) -> Iterator[tuple[str, FieldInfo]]:
    """Every field of a declaration, and of those inside it, that takes a number."""
    for name, field in kind.model_fields.items():
        here = (*path, name)
        options = [field.annotation, *get_args(field.annotation)]
        options += [inner for option in options for inner in get_args(option)]
        options += [inner for option in options for inner in get_args(option)]
        for option in dict.fromkeys(map(_plain, options)):
            if isinstance(option, type) and issubclass(option, BaseModel) and option not in seen:
                yield from _integers(option, here, (*seen, option))
        if any(_plain(option) in (int, float) for option in options):
            yield ".".join(here), field


def _nested(annotation: Any) -> list[Any]:
    """Bounds of the items of a union or a tuple."""
    found = [item for inner in get_args(annotation) for item in _nested(inner)]
    for meta in getattr(annotation, "__metadata__", ()):
        found += getattr(meta, "metadata", [meta])
    return found


def _plain(annotation: Any) -> Any:
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


@pytest.mark.parametrize("kind", [Experiment, Tuning])
def test_every_number_has_two_bounds(kind: type[Experiment]) -> None:
    found = dict(_integers(kind))
    assert len(found) > 40
    unbounded = []
    for name, field in found.items():
        if ".space." in name:  # each value is checked as the field that it is for
            continue
        bounds = f"{field.metadata} {_nested(field.annotation)}"
        if not re.search(r"L[et]\(|_at_most_one", bounds) or not re.search(r"G[et]\(", bounds):
            unbounded.append(name)
    assert unbounded == []


# --- YAML 1.1 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    ["0123", "-0123", "08", "00", "0x1F", "0b11", "0o17", "1:30", "190:20:30", "1_000", "1_0.5", "1:30.5", "1_0e3"],
)
def test_a_number_with_two_readings_is_refused(problems, number: str) -> None:
    for text in (_plus(f"recipe: {{max_steps: {number}}}"), GOOD.replace("[1, 2]", f"[{number}]")):
        assert f"{number} is read as different values by different versions of YAML" in problems(text)[0]
    assert "is read as different values" in problems(GOOD, f"recipe.max_steps={number}")[0]


@pytest.mark.parametrize(
    "text", ["0123", "1:30", "1_000", "08", "0o17", "yes", "no", "y", "on", "off", "~/x", "1e5", "="]
)
def test_in_quotes_it_is_text_and_is_written_so(load, text: str) -> None:
    experiment = load(_plus(f"results: '{text}'"))
    assert experiment.results == text
    assert load(resolved_yaml(experiment)).results == text


@pytest.mark.parametrize("text", ["yes", "no", "y", "n", "on", "off", "Yes", "NO", "2020-01-01", "="])
def test_words_of_yaml_1_1_are_text(load, problems, text: str) -> None:
    assert load(_plus(f"results: {text}")).results == text
    assert "should be true or false, not text" in problems(_plus(f"runtime: {{gradient_checkpointing: {text}}}"))[0]
    assert "seeds.0: should be a whole number, not text" in problems(GOOD.replace("[1, 2]", f"[{text}]"))[0]


# --- what would take for ever --------------------------------------------------------------------------------


def _bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels + 1)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_bomb(9, 10), r"e\.yaml:\d+: more than 100,000 values, aliases included"),
        (_bomb(60, 1), r"e\.yaml:\d+: nested more than 40 deep"),
        ("recipe: " + "[" * 100 + "]" * 100, r"e\.yaml:1: nested more than 40 deep"),
        ("recipe: " + "{a: " * 30_000 + "1" + "}" * 30_000, r"e\.yaml: nested more than 40 deep"),
        ("[" * 100_000, r"e\.yaml: nested more than 40 deep"),
        ("- " * 50_000, r"e\.yaml: nested more than 40 deep"),
        (f"name: {'x' * 600_000}", r"e\.yaml: more than 500,000 bytes"),
    ],
    ids=["aliases", "aliases in a row", "lists", "mappings", "open", "dashes", "long"],
)
def test_what_would_take_for_ever_is_refused_quickly(load, text: str, message: str) -> None:
    begin = time.process_time()
    with pytest.raises(StiltsError, match=message):
        load(text)
    assert time.process_time() - begin < 5


def test_a_device_is_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match="more than 500,000 bytes"):
        load_experiment(Path("/dev/zero"))


def test_a_deep_override_and_a_long_number_are_refused(problems) -> None:
    assert "nested more than 40 deep" in problems(GOOD, f"{'a.' * 2000}b=1")[0]
    assert "nested more than 40 deep" in problems(GOOD, f"recipe={'[' * 60}{']' * 60}")[0]
    for digits in (500, 5000):
        number = "9" * digits
        assert f"a number of {digits} digits is no value" in problems(GOOD.replace("[1, 2]", f"[{number}]"))[0]


def test_a_stored_alias_bomb_is_no_experiment() -> None:
    begin = time.process_time()
    assert read_resolved(_bomb(9, 10)) is None
    assert read_resolved("[" * 10_000) is None
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "value",
    [
        '!!int "010"',
        '!!int "1:30"',
        '!!int "5"',
        "!!int 010",
        "!!int many",
        "!!str 5",
        "!!float 5",
        "!!bool yes",
        "!!null ''",
        "!!timestamp x",
    ],
)
def test_a_tag_that_changes_a_type_is_refused_with_its_line(problems, value: str) -> None:
    text = _plus(f"recipe:\n  max_steps: {value}")
    line = 1 + text[: text.index("max_steps")].count("\n")
    (found,) = problems(text)
    tag = value.split(maxsplit=1)[0]
    assert f"e.yaml:{line}: recipe.max_steps: the tag {tag} would change the type of" in found


def test_a_tag_of_the_type_that_a_value_has_anyway_is_read(load) -> None:
    assert load(_plus("recipe: {max_steps: !!int 5, warmup: !!float 0.5}")).recipe.model_dump()["max_steps"] == 5
    assert load(_plus("store: !!str here")).store == "here"


def test_a_tag_of_a_collection_is_refused(problems) -> None:
    assert "the tag !!set is not read here" in problems(_plus("settings: !!set {xnli}"))[0]


def test_an_unknown_key_of_set_is_told_as_its_own(problems) -> None:
    for override in ("foo.bar=3", "foo=3", "data.tsks.mlm.train=x"):
        (message,) = problems(GOOD, override)
        assert message.startswith("--set: ")
