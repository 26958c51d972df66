"""Claims about imports: they run one way, between modules and between packages, and rooms that are to know nothing of each other don't."""

import ast
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import vanc311_pipeline

NAME = vanc311_pipeline.__name__
ROOT = Path(vanc311_pipeline.__file__).parent
FILES = {".".join((NAME, *file.relative_to(ROOT).with_suffix("").parts)): file for file in ROOT.rglob("*.py")}
PRIVATE = f"{NAME}.orchestration.dagster_private"

FORBIDDEN = {
    "settings": {"schema", "portal", "requests", "metrics", "warehouse", "plan", "orchestration"},
    "schema": {"portal", "requests", "metrics", "warehouse", "plan", "orchestration", "api", "dashboard", "commands"},
    "portal": {"requests", "metrics", "warehouse", "plan", "orchestration", "standin"},
    "requests": {"portal", "metrics", "warehouse", "plan", "orchestration"},
    "metrics": {"portal", "requests", "warehouse", "plan", "orchestration"},
    "warehouse": {"plan", "pipeline", "orchestration", "api", "dashboard", "commands"},
    "plan": {"pipeline", "orchestration", "commands"},
    "pipeline": {"orchestration", "commands"},
    "orchestration": {"api", "dashboard", "commands", "standin"},
    "api": {"portal", "requests", "metrics", "warehouse", "plan", "orchestration", "commands"},
    "dashboard": {"portal", "requests", "metrics", "warehouse", "plan", "orchestration", "commands"},
}
"""What each may not import, at the beginning of a module or inside a function."""


def imported(file: Path) -> set[str]:
    """The names that a module imports, at its beginning or in a function, but not for type checkers only: of ours, modules."""
    tree, names = ast.parse(file.read_text()), set()
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part for part in parts if part in FILES or f"{part}.__init__" in FILES} or {node.module}
    return {f"{name}.__init__" if f"{name}.__init__" in FILES else name for name in names}


IMPORTS = {module: imported(file) for module, file in FILES.items()}


def room(module: str) -> str:
    return module.split(".")[1]


def in_one_direction(graph: Mapping[str, set[str]]) -> None:
    """Raises CycleError, which names the circle, if there is one."""
    TopologicalSorter(graph).prepare()


def test_modules_import_one_another_in_one_direction():
    in_one_direction({module: names & FILES.keys() for module, names in IMPORTS.items()})


def test_packages_import_one_another_in_one_direction():
    graph: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        graph.setdefault(room(module), set()).update({room(name) for name in names & FILES.keys()} - {room(module)})
    in_one_direction(graph)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_room_knows_nothing_of_what_is_not_its_own(package):
    broken = {
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        if room(module) == package
        for name in names & FILES.keys()
        if room(name) in FORBIDDEN[package]
    }
    assert not broken


def test_only_orchestration_definitions_and_the_commands_know_dagster():
    knowing = {room(module) for module, names in IMPORTS.items() if any(name.startswith("dagster") for name in names)}
    assert knowing == {"orchestration", "definitions", "commands"}


def test_dagsters_private_modules_are_imported_in_one_place():
    private = {
        module
        for module, names in IMPORTS.items()
        if any(name.startswith(("dagster._", "dagster_shared")) for name in names)
    }
    assert private == {PRIVATE}
