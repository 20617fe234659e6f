"""Every third-party module that is imported belongs to a package that pyproject.toml declares, and the reverse."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"stilts", "tests", "stages", *(path.stem for path in (ROOT / "benchmarks").glob("*.py"))}
UNIMPORTED = {
    "accelerate": "transformers' Trainer imports it",
    "lang2vec": "its data files are read",
    "moto": "runs as a server",
    "playwright": "found by its name where it is installed",
    "mkdocs-material": "the theme of the documentation",
    "mypy": "a command",
    "ninja": "DeepSpeed calls it to build its operators",
    "pytest-timeout": "pytest loads it by itself",
    "pytest-xdist": "pytest loads it by itself",
    "protobuf": "transformers reads SentencePiece models with it",
    "ruff": "a command",
    "sentencepiece": "transformers imports it",
    "types-pyyaml": "read by mypy",
}
"""Packages that are declared though nothing here imports them, and why."""


INSTALLED_BY = {"mlflow": "mlflow-skinny"}
"""Packages of modules that may not be installed, if they have another name."""


def name_of(requirement: str) -> str:
    """Normalized name of the package in a requirement: `ray[train]>=2.55` is `ray`."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


REQUIRED = {name_of(requirement) for requirement in PROJECT["dependencies"]}
OPTIONAL = {name_of(r) for name, extra in PROJECT["optional-dependencies"].items() if name != "dev" for r in extra}
DEV = {name_of(requirement) for requirement in PROJECT["optional-dependencies"]["dev"]}


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of the modules that a source text imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OWN


def imports_of(folder: str) -> Iterator[tuple[str, str]]:
    """Third-party modules with the file that imports them."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for module in sorted(imported(ast.parse(path.read_text()))):
            yield module, str(path.relative_to(ROOT))


@cache
def installed() -> Mapping[str, list[str]]:
    """Packages by the modules that they install. Reads the file lists of all packages, which takes seconds."""
    return packages_distributions()


def packages_of(module: str) -> set[str]:
    """Packages that install a module; its own name where the package is not installed."""
    return {name_of(package) for package in installed().get(module, [INSTALLED_BY.get(module, module)])}


@pytest.mark.parametrize(
    ("folder", "declared"),
    [
        ("stilts", REQUIRED | OPTIONAL),
        ("tests", REQUIRED | OPTIONAL | DEV),
        ("benchmarks", REQUIRED | OPTIONAL | DEV),
    ],
)
def test_what_is_imported_is_declared(folder: str, declared: set[str]) -> None:
    undeclared = {module: path for module, path in imports_of(folder) if not packages_of(module) & declared}
    assert undeclared == {}, "declare the package in pyproject.toml"


def test_what_is_declared_is_imported() -> None:
    modules = {module for folder in ("stilts", "tests", "benchmarks") for module, _ in imports_of(folder)}
    used = {package for module in modules for package in packages_of(module)}
    # A package that is not installed has only its name to be recognised by.
    unused = {name for name in REQUIRED | OPTIONAL | DEV if name.replace("-", "_") not in modules} - used
    assert unused - set(UNIMPORTED) == set(), "remove the package from pyproject.toml, or say above why it is needed"


def test_imports_are_found() -> None:
    assert imported(ast.parse("import os, ray.tune\nfrom yaml import x\nfrom . import y\nfrom stilts import z")) == {
        "ray",
        "yaml",
    }
    assert "pyyaml" in packages_of("yaml")
