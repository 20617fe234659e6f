"""Imports only go up the floors, and the heavy libraries stay on theirs. Read from the source, functions included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stilts

ROOT = Path(stilts.__file__).parent
FLOORS = (
    *(
        "version",
        "errors",
        "visible",
        "advice",
        "discovery",
        "os_errors",
        "places",
        "statistics",
        "experiment",
        "waiting",
        "identity",
        "encoders",
        "tasks",
        "data",
        "schedule",
        "plan",
    ),
    *("storage", "ledger", "session", "train", "evaluate", "results", "show", "run", "search", "monitor", "api", "cli"),
)
LIGHT = (
    "statistics",
    "experiment",
    "waiting",
    "identity",
    "encoders",
    "tasks",
    "data",
    "schedule",
    "storage",
    "plan",
    "ledger",
    "results",
    "show",
    "session",
    "api",
    "monitor",
)
"""Floors that import neither torch nor ray when they are imported."""
BESIDE = {"__init__": FLOORS.index("cli"), "__main__": FLOORS.index("cli")}
"""Modules of the package itself: the public names and the entry point. No other module imports them."""

MODULES = {
    ".".join(("stilts", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def _imports(path: Path, *, top_only: bool = False) -> Iterator[str]:
    """Names of the modules that a file imports; those for type checking alone count too."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if not top_only else _when_imported(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


def _when_imported(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: not functions, nor what is for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        yield child
        yield from _when_imported(child)


def _floor(module: str) -> int:
    name = [*module.split("."), "__init__"][1]
    return BESIDE[name] if name in BESIDE else FLOORS.index(name)


def _libraries(path: Path, *, top_only: bool = False) -> set[str]:
    return {name.partition(".")[0] for name in _imports(path, top_only=top_only)}


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_up_the_floors(module: str) -> None:
    down = [name for name in _imports(MODULES[module]) if name.startswith("stilts") and _floor(name) > _floor(module)]
    assert not down, f"{module} imports {down}, from a floor above its own"


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {module: [n for n in _imports(path) if n in MODULES and n != "stilts"] for module, path in MODULES.items()}
    state: dict[str, str] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != "open", f"a circle: {' -> '.join((*path, module))}"
        if module in state:
            return
        state[module] = "open"
        for name in graph[module]:
            visit(name, (*path, module))
        state[module] = "done"

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", [m for m in MODULES if [*m.split("."), ""][1] in LIGHT])
def test_light_floors_load_neither_torch_nor_ray(module: str) -> None:
    assert not _libraries(MODULES[module], top_only=True) & {"torch", "ray", "transformers", "deepspeed", "datasets"}


@pytest.mark.parametrize("module", MODULES)
def test_ray_is_imported_by_run_alone(module: str) -> None:
    assert module.startswith("stilts.run.") or "ray" not in _libraries(MODULES[module])


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_unpickled(module: str) -> None:
    assert not _libraries(MODULES[module]) & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


LIBRARIES_OF_STATISTICS = {"numpy", "scipy", "stilts"} | set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("stilts.statistics")])
def test_statistics_import_numpy_and_scipy_alone(module: str) -> None:
    assert _libraries(MODULES[module]) <= LIBRARIES_OF_STATISTICS
    assert all(name.startswith("stilts.statistics") for name in _imports(MODULES[module]) if name.startswith("stilts"))


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("stilts.storage")])
def test_storage_knows_nothing_of_stages(module: str) -> None:
    ours = [name for name in _imports(MODULES[module]) if name.startswith("stilts")]
    allowed = ("stilts.storage", *(f"stilts.{name}" for name in ("errors", "os_errors", "places", "waiting")))
    assert all(name.startswith(allowed) for name in ours), ours


def test_importing_stilts_is_light() -> None:
    heavy = ("torch", "ray", "transformers", "deepspeed", "datasets", "pandas", "pyarrow", "numpy", "pydantic", "rich")
    code = f"import stilts, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
