"""The commands, by what people want to do, and the page that lists them.

Rule: a command's module is imported when it is called, and not to list it; this file imports nothing heavy.
"""

from __future__ import annotations

import difflib
from typing import NamedTuple

from partita.cli.styled import Line


class Verb(NamedTuple):
    """A command: its words, the module and function that carry it out, and what it does in a line."""

    words: str
    where: str
    does: str


SECTIONS: tuple[tuple[str, tuple[Verb, ...]], ...] = (
    (
        "Start",
        (
            Verb("init", "init:init", "make a small project that runs"),
            Verb("up", "up:up", "serve projects: schedules, sensors, backfills, the API"),
            Verb("run", "run:run", "run a pipeline, or a selection of assets, and watch it"),
            Verb("check", "check:check", "find everything that is wrong with the definitions"),
        ),
    ),
    (
        "Look",
        (
            Verb("list", "list:list_", "pipelines and assets of the project"),
            Verb("show", "show:show", "a run, a step, a pipeline or an asset"),
            Verb("graph", "graph:graph", "draw what depends on what: text, SVG, DOT, Mermaid"),
            Verb("runs", "runs:runs", "runs, newest first"),
            Verb("logs", "logs:logs", "what steps have written"),
            Verb("why", "why:why", "why a run or step is as it is"),
            Verb("report", "report:report", "what ran, what broke and what that holds up, as text or a page"),
        ),
    ),
    (
        "Act",
        (
            Verb("retry", "retry:retry", "run again what failed, or from a step on"),
            Verb("cancel", "cancel:cancel", "end a run"),
            Verb("pause", "pause:pause", "start nothing new in a run"),
            Verb("resume", "pause:resume", "let a paused run go on"),
        ),
    ),
    (
        "Care",
        (
            Verb("pools", "pools:pools", "pools and other limits, and how full they are"),
            Verb("pools set", "pools:pools_set", "set a limit while running"),
            Verb("pools reset", "pools:pools_reset", "back to what is declared"),
            Verb("doctor", "doctor:doctor", "look whether all is well here"),
            Verb("db audit", "db:audit", "check the invariants of the store"),
            Verb("db migrate", "db:migrate", "bring the store up to date"),
        ),
    ),
)
VERBS = {verb.words: verb for _, verbs in SECTIONS for verb in verbs}


def find(words: list[str]) -> tuple[Verb, list[str]] | None:
    """The command that the words begin with, and the words after it."""
    for count in (2, 1):
        verb = VERBS.get(" ".join(words[:count])) if len(words) >= count else None
        if verb is not None:
            return verb, words[count:]
    return None


def nearest(word: str) -> str | None:
    """The command that was probably meant."""
    near = difflib.get_close_matches(word, list(VERBS), 1, 0.5)
    return near[0] if near else None


def overview() -> list[Line]:
    """The page of `partita --help`."""
    lines: list[Line] = [
        [("partita", "bold"), ("  the right work at the right time in the right order, and why", "")],
        [],
        [("partita COMMAND [-C FOLDER] ...", "")],
    ]
    for title, verbs in SECTIONS:
        lines += [[], [(title, "bold")]]
        lines += [[(f"  {verb.words:<12}", "accent"), (verb.does, "")] for verb in verbs]
    return [
        *lines,
        [],
        [("  -C, --project FOLDER   the project (default: this folder or its nearest parent that is one)", "dim")],
        [("  --json                 on everything that prints data", "dim")],
        [("  --version", "dim")],
        [],
        [("A RUN is 12, an id, `last`, or a pipeline's name. A STEP is load, or `load 3` in a map.", "dim")],
        [("partita COMMAND --help says more", "dim")],
    ]
