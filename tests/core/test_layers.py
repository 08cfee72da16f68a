"""The core is pure: no I/O, no clock, no randomness, nothing of ours above it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import partita.core

FILES = sorted(Path(partita.core.__file__).parent.glob("*.py"))

IO_MODULES = {
    "apsw",
    "asyncio",
    "cloudpickle",
    "ftplib",
    "http.client",
    "logging",
    "multiprocessing",
    "psutil",
    "psycopg",
    "pydantic",
    "requests",
    "rich",
    "select",
    "selectors",
    "shelve",
    "signal",
    "smtplib",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "typer",
    "urllib.request",
}
FORBIDDEN_IMPORTS = IO_MODULES | {"io", "os", "pickle", "random", "secrets", "shutil", "sys", "threading", "time"}
FORBIDDEN_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
# A clock read or a random id by way of a module that is allowed for its types.
FORBIDDEN_METHODS = {"now", "utcnow", "today", "uuid1", "uuid4", "monotonic", "perf_counter", "urandom", "sleep"}

LOAD = """
import json, sys
before = set(sys.modules)
import importlib
for name in {names!r}:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_importing_the_whole_core_imports_no_module_that_does_io() -> None:
    names = [f"partita.core.{f.stem}" for f in FILES if f.stem != "__init__"]
    code = LOAD.format(names=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(json.loads(done.stdout))
    assert set(names) <= loaded
    assert loaded & IO_MODULES == set()
    ours = {m for m in loaded if m.startswith("partita")}
    assert {m for m in ours if not m.startswith("partita.core")} <= {"partita", "partita.errors"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_file_of_the_core_calls_nothing_that_reads_the_world(file: Path) -> None:
    tree = ast.parse(file.read_text())
    imported = {name for node in ast.walk(tree) for name in _imported(node)}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    methods = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert imported & FORBIDDEN_IMPORTS == set()
    assert {m for m in imported if m.startswith("partita")} <= {
        m for m in imported if m.startswith("partita.core") or m in ("partita.errors", "partita.settings")
    }
    assert called & FORBIDDEN_CALLS == set()
    assert methods & FORBIDDEN_METHODS == set()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_file_of_the_core_can_be_read_in_one_sitting(file: Path) -> None:
    """A file says what it owns; files and functions stay as long as the style allows."""
    text = file.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert len(text.splitlines()) <= 500
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_the_core_imports_itself_without_circles() -> None:
    names = {f.stem for f in FILES}
    graph = {
        f.stem: {
            name.removeprefix("partita.core.")
            for node in ast.parse(f.read_text()).body
            for name in _imported(node)
            if name.removeprefix("partita.core.") in names
        }
        for f in FILES
    }
    order: list[str] = []
    while len(order) < len(graph):
        free = [f for f, needs in graph.items() if f not in order and needs <= set(order)]
        assert free, f"a circle among {sorted(set(graph) - set(order))}"
        order += free


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        if node.module == "partita.core":
            return [f"partita.core.{alias.name}" for alias in node.names]
        return [node.module]
    return []
