"""Shell commands and scripts: values travel beside the command, never in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import partita as pt
from partita.core.graph import DictOf, Output, Param
from partita.core.plain import unpack
from partita.errors import DefinitionError, UserCodeError

from .building import args_of, graph_of, steps_of

NASTY = [
    "a b",
    "'; exit 3; '",
    '"; exit 3; "',
    "$(exit 3)",
    "`exit 3`",
    "x; exit 3",
    "-n",
    "",
    "*",
    "ü\n2",
    "$HOME",
    "\\",
]


@pytest.mark.parametrize("value", NASTY)
def test_no_value_is_read_as_shell(value: str) -> None:
    assert pt.shell("printf '[%s]' {x} \"{x}\"", x=value, result="text") == f"[{value}][{value}]"


def test_the_last_line_is_the_result() -> None:
    assert pt.shell("echo one; echo; echo two; echo") == "two"
    assert pt.shell("true") is None
    assert pt.shell("echo one", capture=False) is None


def test_output_may_be_json_or_text() -> None:
    assert pt.shell("echo {x}", x={"a": [1]}, result="json") == {"a": [1]}
    assert pt.shell("echo a; echo b", result="text") == "a\nb\n"
    with pytest.raises(UserCodeError, match="is no JSON"):
        pt.shell("echo {{", result="json")


def test_output_goes_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    pt.shell("echo hello")

    assert capsys.readouterr().out == "hello\n"


def test_a_failure_names_the_exit_code_and_the_last_lines() -> None:
    with pytest.raises(UserCodeError) as caught:
        pt.shell("for i in $(seq 100); do echo line $i; done; exit 7")

    assert "exit code 7" in caught.value.message
    assert "line 81\n" in caught.value.message
    assert caught.value.message.endswith("line 100")
    assert "line 80\n" not in caught.value.message


def test_a_failure_tells_what_stood_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserCodeError, match="no such table"):
        pt.shell("echo loading; echo 'no such table' >&2; exit 1")

    assert capsys.readouterr().err == "no such table\n"
    with pytest.raises(UserCodeError, match="it wrote nothing"):
        pt.shell("exit 1")


def test_more_output_than_a_result_can_be_is_refused() -> None:
    with pytest.raises(UserCodeError, match="which is no result"):
        pt.shell("yes 0123456789012345678901234567890123456789", result="text")
    assert pt.shell("seq 100000; echo done") == "done"


def test_a_program_that_was_killed_says_by_what() -> None:
    with pytest.raises(UserCodeError, match="killed by SIGKILL"):
        pt.shell("kill -9 $$")


def test_environment_and_folder(tmp_path: Path) -> None:
    assert pt.shell("echo $A $PWD", env={"A": 3}, cwd=tmp_path) == f"3 {tmp_path}"
    with pytest.raises(UserCodeError, match="cannot be started"):
        pt.shell("true", cwd=tmp_path / "none")


def test_a_value_with_nul_is_refused() -> None:
    with pytest.raises(UserCodeError, match="NUL"):
        pt.shell("echo {x}", x="a\0b")


@pytest.mark.parametrize(
    ("command", "values", "says"),
    [
        ("echo {x}", {}, "no value for {x}"),
        ("echo", {"x": 1}, "'x' is not in the command"),
        ("echo '{x}'", {"x": 1}, "single quotes"),
        ("echo {x!r}", {"x": 1}, "no name of a value"),
        ("echo {x.y}", {}, "no name of a value"),
        ("echo {0}", {}, "no name of a value"),
        ("echo {", {}, "cannot be read"),
    ],
)
def test_commands_that_make_no_sense_are_refused(command: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        pt.shell(command, **values)
    assert says in caught.value.message


def test_other_refusals() -> None:
    with pytest.raises(DefinitionError, match="environment variable"):
        pt.shell("true", env={"A B": 1})
    with pytest.raises(DefinitionError, match="no result"):
        pt.shell("true", result="xml")  # type: ignore[arg-type]


def test_a_script_runs_with_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "do it.py"
    script.write_text("import sys; print(sys.argv[1:])")

    assert pt.python_script(str(script), args=["a b", 3, True, NASTY[3]]) == "['a b', '3', 'true', '$(exit 3)']"


def test_in_a_pipeline_they_are_steps() -> None:
    def flow(day: str) -> None:
        made = pt.shell("make {day}", day=day, options={"retries": 2}, name="make")
        pt.python_script("tools/load it.py", args=[made, 1])

    steps = steps_of(graph_of(flow))
    make, script = steps["make"], steps["load_it"]

    assert (make.kind, script.kind) == ("shell", "script")
    assert make.policies.retry.limit == 2
    assert args_of(make)["values"] == DictOf((("day", Param("day")),))
    assert "make" in unpack(args_of(make)["command"].data)
    assert "{day}" not in unpack(args_of(make)["command"].data)
    assert args_of(script)["args"].items[0] == Output("make")
    assert script.needs == ("make",)
    assert make.written_at.startswith("test_shell.py:")
