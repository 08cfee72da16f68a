"""The words of a command line, by the signature of a function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from partita.cli.parsing import Argument, Option, help_page, parse
from partita.errors import DefinitionError


def sample(
    name: Annotated[str, Argument("NAME", "A name")] = "",
    more: Annotated[list[str] | None, Argument("MORE", "More names")] = None,
    param: Annotated[list[str] | None, Option(("-p", "--param"), "A parameter", "NAME=VALUE")] = None,
    count: Annotated[int, Option(("-n", "--count"), "How many", "N", least=1)] = 3,
    kind: Annotated[Literal["a", "b"] | None, Option(("--kind",), "Which")] = None,
    folder: Annotated[Path | None, Option(("--folder",), "Where", "FOLDER")] = None,
    loud: Annotated[bool, Option(("--loud",), "Loudly")] = False,
    fast: Annotated[bool | None, Option(("--fast",), "Or not")] = None,
) -> int:
    """A sample."""
    return 0


def test_options_and_arguments_stand_in_any_order() -> None:
    words = [
        "--loud",
        "x",
        "-p",
        "a=1",
        "y",
        "--param=b=2",
        "-pc=3",
        "-n5",
        "--kind",
        "b",
        "--folder",
        "d",
        "--no-fast",
        "z",
    ]
    assert parse(sample, "sample", words) == {
        "name": "x",
        "more": ["y", "z"],
        "param": ["a=1", "b=2", "c=3"],
        "count": 5,
        "kind": "b",
        "folder": Path("d"),
        "loud": True,
        "fast": False,
    }
    assert parse(sample, "sample", []) == {}
    assert parse(sample, "sample", ["--", "--loud", "-"]) == {"name": "--loud", "more": ["-"]}
    assert parse(sample, "sample", ["--fast"]) == {"fast": True}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "x"], "--count takes a whole number, not 'x'"),
        (["--count", "0"], "--count takes a number from 1 on, not 0"),
        (["--kind", "c"], "--kind takes a, b, not 'c'"),
        (["--param"], "--param needs NAME=VALUE after it"),
        (["--loud=1"], "--loud takes no value"),
        (["-x"], "there is no option -x"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(sample, "sample", words)
    assert caught.value.message == message
    assert caught.value.hint


def test_a_word_too_many_is_refused() -> None:
    def none() -> int:
        return 0

    with pytest.raises(DefinitionError, match="a word too many: 'x'"):
        parse(none, "none", ["x"])


def test_the_help_page_says_all_that_there_is() -> None:
    page: list[Any] = ["".join(text for text, _ in line) for line in help_page(sample, "sample")]
    assert page[0] == "partita sample [NAME] [MORE ...] [options]"
    assert page[2] == "A sample."
    text = "\n".join(page)
    for words in (
        "-p, --param NAME=VALUE",
        "-n, --count N",
        "(default 3)",
        "--kind a|b",
        "--fast, --no-fast",
        "-h, --help",
    ):
        assert words in text
