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
            Verb("why", "why:why", "why a run, a step or an asset is as it is"),
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
            Verb("mark", "mark:mark", "end a step by hand that does not run"),
            Verb("approvals", "approvals:approvals", "what waits for people, and what there is to decide on"),
            Verb("approve", "approve:approve", "answer an approval"),
            Verb("reject", "approve:reject", "reject what waits for an approval"),
        ),
    ),
    (
        "What starts by itself",
        (
            Verb("schedules", "schedules:schedules", "what starts when: schedules with next and last ticks"),
            Verb("schedules next", "schedules:next_", "the next ticks of a schedule"),
            Verb("schedules tick", "schedules:tick", "what was decided about its last ticks"),
            Verb("schedules explain", "schedules:explain", "a schedule in words, and why its last tick was skipped"),
            Verb("schedules test", "schedules:would", "what a tick would do, without doing it"),
            Verb("schedules pause", "schedules:pause", "start no more runs by a schedule"),
            Verb("schedules resume", "schedules:resume", "let it go on"),
            Verb("schedules trigger", "schedules:trigger", "start a run as the schedule would, now"),
            Verb("sensors", "sensors:sensors", "what looks at the world: sensors, and how they are"),
            Verb("sensors show", "sensors:show", "one sensor: what it remembers, and its last looks"),
            Verb("sensors test", "sensors:trial", "let it look without consequences"),
            Verb("sensors pause", "sensors:pause", "let a sensor look no more"),
            Verb("sensors resume", "sensors:resume", "let it look again"),
            Verb("sensors reset", "sensors:reset", "let it begin anew, or from a cursor"),
            Verb("sensors look", "sensors:look", "let it look at once"),
            Verb("assets", "assets:assets", "assets: made or missing, current or stale, fresh or late"),
            Verb("assets show", "assets:show", "one asset: how it is, who reads it, when it was made"),
            Verb("assets why", "assets:why", "why it is stale, and what automation says"),
            Verb("assets search", "assets:search", "find by name, column, owner, tag or description"),
            Verb("assets partitions", "assets:partitions", "its partitions; keys of dynamic ones, add and remove"),
            Verb("assets report", "assets:report", "say that another tool made an asset"),
            Verb("assets check", "assets:report_check", "say how another tool's test of an asset ended"),
            Verb("backfill plan", "backfill:plan", "what a backfill would do, and how long it takes"),
            Verb("backfill start", "backfill:start", "fill partitions of the past, a few runs at a time"),
            Verb("backfill list", "backfill:list_", "backfills, newest first"),
            Verb("backfill show", "backfill:show", "how far a backfill is"),
            Verb("backfill pause", "backfill:pause", "start nothing new of it"),
            Verb("backfill resume", "backfill:resume", "let it go on"),
            Verb("backfill cancel", "backfill:cancel", "end it, with its open runs"),
            Verb("backfill retry", "backfill:retry", "run again what failed of it"),
            Verb("simulate", "simulate:simulate", "play the schedules ahead: landing times, missed deadlines"),
        ),
    ),
    (
        "Limits and messages",
        (
            Verb("pools", "pools:pools", "pools and other limits, and how full they are"),
            Verb("pools set", "pools:pools_set", "set a limit while running"),
            Verb("pools reset", "pools:pools_reset", "back to what is declared"),
            Verb("capacity", "capacity:capacity", "cores, memory and GPUs of this machine, and how much is taken"),
            Verb("notifications", "notifications:notifications", "what was told to whom, and open alarms"),
            Verb("notifications test", "notifications:notifications_test", "send a test message to a channel"),
            Verb("notifications retry", "notifications:notifications_retry", "send a message again"),
        ),
    ),
    (
        "Who and what may",
        (
            Verb("deploy", "deploy:deploy", "bring this project to a server, or go back to an earlier version"),
            Verb("deployments", "deploy:deployments", "which version of each project a server serves"),
            Verb("secrets", "secrets:secrets", "names of secrets"),
            Verb("secrets set", "secrets:secrets_set", "keep a secret, sealed"),
            Verb("secrets remove", "secrets:secrets_remove", "remove a secret"),
            Verb("secrets rotate", "secrets:secrets_rotate", "seal all secrets with a new key"),
            Verb("resources", "resources:resources", "connections that the project declares"),
            Verb("resources test", "resources:resources_test", "try whether one works"),
            Verb("users", "users:users", "who may sign in, and their roles"),
            Verb("users add", "users:users_add", "add a user"),
            Verb("users set", "users:users_set", "change roles or password"),
            Verb("users close", "users:users_close", "close an account"),
            Verb("users open", "users:users_open", "open it again"),
            Verb("tokens", "tokens:tokens", "what programs show to be let in"),
            Verb("tokens make", "tokens:tokens_make", "make one and print it, once"),
            Verb("tokens revoke", "tokens:tokens_revoke", "let one hold no more"),
            Verb("tokens link", "tokens:tokens_link", "a link that signs a browser in, once"),
            Verb("audit", "audit:audit", "who changed what, and who was denied"),
            Verb("audit verify", "audit:audit_verify", "is that record as it was written?"),
        ),
    ),
    (
        "Care",
        (
            Verb("doctor", "doctor:doctor", "look whether all is well here"),
            Verb("system", "system:system", "who leads, where steps run, which versions are served"),
            Verb("system join", "system:system_join", "lead a namespace with all others again"),
            Verb("db audit", "db:audit", "check the invariants of the store"),
            Verb("db migrate", "db:migrate", "bring the store up to date"),
            Verb("db backup", "db:backup", "copy the store to a file, also while it is in use"),
            Verb("db vacuum", "db:vacuum", "give free space of the store back"),
            Verb("db copy", "db:copy", "move the store to another database, and back"),
            Verb("db storage", "db:storage", "what takes how much space, and what retention removes"),
        ),
    ),
)
# What a first word does that is no command by itself.
NOUNS = {
    "backfill": "fill partitions of the past: planned, shown, then run a few at a time",
    "db": "the store: audit, backup, space",
}
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


def inside(noun: str) -> list[Verb]:
    """The commands whose first word is `noun` and that have a second one."""
    return [verb for words, verb in VERBS.items() if words.startswith(f"{noun} ")]


def overview() -> list[Line]:
    """The page of `partita --help`."""
    lines: list[Line] = [
        [("partita", "bold"), ("  the right work at the right time in the right order, and why", "")],
        [],
        [("partita COMMAND [-C FOLDER] ...", "")],
    ]
    for title, verbs in SECTIONS:
        lines += [[], [(title, "bold")]]
        for noun in dict.fromkeys(verb.words.partition(" ")[0] for verb in verbs):
            lines.append([(f"  {noun:<{_COLUMN}}", "accent"), (VERBS[noun].does if noun in VERBS else NOUNS[noun], "")])
            more = " · ".join(verb.words.partition(" ")[2] for verb in inside(noun))
            lines += [[(f"  {'':<{_COLUMN}}{noun} {more}", "dim")]] if more else []
    return [
        *lines,
        [],
        [("  -C, --project FOLDER   the project (default: this folder or its nearest parent that is one)", "dim")],
        [("  --json                 on everything that prints data", "dim")],
        [("  --version", "dim")],
        [],
        [("A RUN is 12, an id, `last`, or a pipeline's name. A STEP is load, or `load 3` in a map.", "dim")],
        [("All of it works beside a running `partita up`, and straight at the folder when none runs.", "dim")],
        [("partita COMMAND --help says more", "dim")],
    ]


def page_of(noun: str) -> list[Line]:
    """The commands whose first word is `noun`, for help."""
    verbs = inside(noun)
    width = max((len(verb.words) for verb in verbs), default=0)
    return [[(f"  partita {verb.words:<{width}}", "accent"), (f"  {verb.does}", "")] for verb in verbs]


_COLUMN = max(len(words.partition(" ")[0]) for words in VERBS) + 2
