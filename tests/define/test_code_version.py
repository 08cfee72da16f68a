"""The version of code changes when what runs changes, and only then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from partita.define.code import code_version

from .building import project_of

BASE = '''
import partita as pt
from helpers import clean

LIMIT = 3

def double(x):
    return 2 * x

def unused(x):
    return x

@pt.task
def work(x):
    """Doubles."""
    return double(x) + LIMIT

@pt.task
def other(x):
    return clean(x)

@pt.pipeline
def flow():
    work(other(1))
'''
HELPERS = '''
import deeper

def clean(x):
    """Strip."""
    return deeper.strip(x)
'''
DEEPER = "def strip(x): return x\n"


def versions(folder: Path, base: str = BASE, helpers: str = HELPERS, deeper: str = DEEPER) -> tuple[str, str]:
    folder.mkdir(exist_ok=True)
    project = project_of(folder, base, helpers=helpers, deeper=deeper)
    assert not project.manifest.problems
    steps = {step.key: step for step in project.manifest.pipelines[0].graph.steps}
    return steps["work"].code_version, steps["other"].code_version


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., tuple[bool, bool]]:
    before = versions(tmp_path / "before")

    def compare(**texts: str) -> tuple[bool, bool]:
        after = versions(tmp_path / "after", **texts)
        return after[0] != before[0], after[1] != before[1]

    return compare


def test_comments_docstrings_formatting_and_place_do_not_count(changed: Callable[..., tuple[bool, bool]]) -> None:
    text = BASE.replace('"""Doubles."""', '"""Other words."""').replace("2 * x", "(2\n        *   x)  # twice")

    assert changed(base="# first line\n\n" + text) == (False, False)


def test_our_decorators_do_not_count(changed: Callable[..., tuple[bool, bool]]) -> None:
    assert changed(base=BASE.replace("@pt.task", "@pt.task(retries=3, owner='x')")) == (False, False)


def test_decorators_of_others_count(changed: Callable[..., tuple[bool, bool]]) -> None:
    text = BASE.replace("@pt.task\ndef work", "@pt.task\n@staticmethod\ndef work")

    assert changed(base=text)[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("double(x) + LIMIT", "double(x) - LIMIT"),
        ("2 * x", "3 * x"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("def work(x)", "def work(x=1)"),
    ],
)
def test_the_function_and_what_it_uses_of_its_module_count(
    changed: Callable[..., tuple[bool, bool]], old: str, new: str
) -> None:
    assert changed(base=BASE.replace(old, new)) == (True, False)


def test_what_it_does_not_use_does_not_count(changed: Callable[..., tuple[bool, bool]]) -> None:
    assert changed(base=BASE.replace("def unused(x):\n    return x", "def unused(x):\n    return 7")) == (False, False)


def test_other_modules_of_the_project_count_for_those_who_use_them(changed: Callable[..., tuple[bool, bool]]) -> None:
    assert changed(helpers=HELPERS.replace("deeper.strip(x)", "deeper.strip(x) * 2")) == (False, True)


def test_so_do_those_that_they_use(changed: Callable[..., tuple[bool, bool]]) -> None:
    assert changed(deeper="def strip(x): return -x\n") == (False, True)


def test_docstrings_of_other_modules_do_not_count(changed: Callable[..., tuple[bool, bool]]) -> None:
    assert changed(helpers=HELPERS.replace("Strip.", "Trim.")) == (False, False)


def test_functions_that_call_each_other_come_to_an_end() -> None:
    assert code_version(_even) != code_version(_odd)


def _even(n: int) -> bool:
    return n == 0 or _odd(n - 1)


def _odd(n: int) -> bool:
    return n != 0 and _even(n - 1)


def test_functions_of_a_factory_differ_by_what_they_closed_over() -> None:
    def make(factor: int, use: Callable[[int], int] = _double, extra: object = None) -> Callable[[int], int]:
        def scaled(x: int, y: object = extra) -> int:
            return use(factor * x)

        return scaled

    assert code_version(make(2)) == code_version(make(2))
    assert code_version(make(2)) != code_version(make(3))
    assert code_version(make(2)) != code_version(make(2, _triple))
    assert code_version(make(2)) != code_version(make(2, extra=1))
    assert code_version(make(2, extra=object())) == code_version(make(2, extra=object()))
    assert code_version(partial(_double, 1)) != code_version(partial(_double, 2))


def _double(x: int) -> int:
    return 2 * x


def _triple(x: int) -> int:
    return 3 * x


def test_code_without_source_is_hashed_as_compiled() -> None:
    def made(text: str) -> object:
        space: dict[str, object] = {}
        exec(compile(text, "<nowhere>", "exec"), space)
        return space["f"]

    assert code_version(made("def f(x): return x + 1")) == code_version(made("\n\ndef f(x): return x + 1"))  # type: ignore[arg-type]
    assert code_version(made("def f(x): return x + 1")) != code_version(made("def f(x): return x + 2"))  # type: ignore[arg-type]


def test_lambdas_and_builtins_have_a_version() -> None:
    assert code_version(lambda x: x + 1) != code_version(lambda x: x + 2)
    assert code_version(len) != code_version(sys.exit)
