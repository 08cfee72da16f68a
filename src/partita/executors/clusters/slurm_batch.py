"""What is handed to `sbatch` for attempts: settings, what a step may say, the arguments and the script.

A script performs the jobs whose names stand in its one `set --` line: one, or as an array one for each of its members. So the
script, which Slurm keeps, is also where a later scheduler reads which member of an array is which attempt.

Rule: pure. Whatever a step says becomes one argument `--name=value` of an allowed name, never shell.
"""

from __future__ import annotations

import hashlib
import math
import re
import shlex
from collections.abc import Sequence
from typing import Final

import msgspec

from partita.core.policies import Policies
from partita.define.durations import seconds
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.tables import read_options

ARRAY_PREFIX: Final = "pt-array-"
_STEP_KEYS: Final = ("partition", "account", "qos", "constraint", "reservation", "time", "nice", "exclude", "nodelist")
# A value is one word: what looks like another option or hides a line is refused.
_VALUE: Final = re.compile(r"[A-Za-z0-9_.,:/@%+*&|\[\]()=#-]{0,400}", re.ASCII)
_ARGUMENT: Final = re.compile(r"(--[a-z][a-z-]*)(?:=(.*))?", re.ASCII)
_SLURM_TIME: Final = re.compile(r"(\d+-)?\d+(:\d+){0,2}", re.ASCII)
# What would take the job out of our hands, whoever allows it.
_OURS: Final = frozenset(
    [
        "--array",
        "--begin",
        "--chdir",
        "--comment",
        "--dependency",
        "--error",
        "--export",
        "--export-file",
        "--get-user-env",
        "--hold",
        "--input",
        "--job-name",
        "--output",
        "--parsable",
        "--requeue",
        "--no-requeue",
        "--test-only",
        "--uid",
        "--gid",
        "--wait",
        "--wrap",
        "--cpus-per-task",
        "--mem",
        "--ntasks",
    ]
)


class SlurmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[tool.partita.executors.<name>]` with `kind = "slurm"`."""

    # The Python of the nodes, with Partita in it; and lines of shell before it starts (module load ...).
    python: str = "python3"
    setup: str = ""
    # What a step gets that says nothing of its own.
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    reservation: str = ""
    time: str = ""
    # More arguments of sbatch for every job, as the operator writes them: ["--exclusive"].
    arguments: tuple[str, ...] = ()
    # Which options a step may set, and which names of further arguments (`arguments=["--exclusive"]`).
    allow: tuple[str, ...] = ("partition", "qos", "constraint", "reservation", "time", "nice", "exclude", "nodelist")
    allow_arguments: tuple[str, ...] = ()
    # Custom resources of steps: {"scratch": "gres/scratch", "matlab": "license/matlab"}.
    resources: dict[str, str] = {}
    # Variables of the scheduler's environment that jobs get (credentials of the object store ...).
    environment: tuple[str, ...] = ()
    # For our own processes beside user code, on top of a step's `memory`.
    memory_overhead: str | int = "128MiB"
    # Where Slurm itself writes of a job ("" = beside the exchange, if that is a folder).
    output: str = ""
    max_jobs: int = 1000
    poll: str | float = 1.0


class SlurmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`executor_options` of a step: what sbatch calls these."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    reservation: str = ""
    time: str | float = ""
    nice: int | None = None
    exclude: str = ""
    nodelist: str = ""
    arguments: tuple[str, ...] = ()


def problem_of(settings: SlurmSettings, policies: Policies, options: dict[str, object]) -> str:
    """What is wrong with a step's resources and options, in one sentence; "" if nothing is."""
    try:
        said = read_options(options, SlurmOptions)
        if problem := _forbidden(settings, said, options):
            return problem
        if said.time:
            _minutes(said.time)
    except ValueError as error:
        return str(error)
    for resource, _ in policies.resources:
        if resource not in settings.resources:
            return (
                f"resource {resource!r} is nothing that this Slurm knows: name it under `resources` of the executor, "
                f'as resources = {{{resource} = "gres/{resource}"}} or "license/..."'
            )
    return ""


def settings_problem(settings: SlurmSettings) -> str:
    """What is wrong with the settings, in one sentence; "" if nothing is."""
    for key in settings.allow:
        if key not in _STEP_KEYS:
            return f"allow: there is no option {key!r}; there are {', '.join(_STEP_KEYS)}"
    for argument in (*settings.allow_arguments, *settings.arguments):
        found = _ARGUMENT.fullmatch(argument)
        if found is None:
            return f"{argument!r} is no long argument of sbatch such as --exclusive"
        if found[1] in _OURS:
            return f"{found[1]} is what Partita sets itself"
    for resource, target in settings.resources.items():
        if not re.fullmatch(r"(gres|license)/[A-Za-z0-9_.:-]+", target):
            return f'resources: {resource} = {target!r} is neither "gres/NAME" nor "license/NAME"'
    try:
        if settings.time:
            _minutes(settings.time)
    except ValueError as error:
        return f"time: {error}"
    return ""


def arguments_of(settings: SlurmSettings, job: Job, overhead_bytes: int) -> tuple[str, ...]:
    """The arguments that say what a job needs; jobs with the same ones may be one array."""
    said = read_options(job.options, SlurmOptions)
    found = ["--parsable", "--no-requeue", "--nodes=1", "--ntasks=1", "--chdir=/", "--export=ALL", "--open-mode=append"]
    for key in ("partition", "account", "qos", "constraint", "reservation"):
        if value := getattr(said, key) or getattr(settings, key):
            found.append(f"--{key}={value}")
    found += [f"--{key}={value}" for key in ("exclude", "nodelist") if (value := getattr(said, key))]
    if said.nice is not None:
        found.append(f"--nice={said.nice}")
    if minutes := _time(settings, said, job.policies):
        found.append(f"--time={minutes}")
    found += _needs(settings, job.policies, overhead_bytes)
    found.append(f"--comment={_comment(job)}")
    return (*found, *settings.arguments, *said.arguments)


def script_of(settings: SlurmSettings, exchange: str, names: Sequence[str]) -> str:
    """The batch script of these jobs: the member of an array takes the name at its place."""
    setup = f"{settings.setup.rstrip()}\n" if settings.setup else ""
    python = shlex.quote(settings.python)
    return (
        f"#!/bin/sh\n{setup}set -- {' '.join(names)}\n"
        'shift "${SLURM_ARRAY_TASK_ID:-0}"\n'
        f'exec {python} -m partita.executors.clusters.job --exchange {shlex.quote(exchange)} --name "$1"\n'
    )


def names_in(script: str) -> list[str]:
    """The names of the jobs that a batch script performs.

    >>> names_in(script_of(SlurmSettings(setup="set -- x"), "file:///shared", ["pt-a", "pt-b"]))
    ['pt-a', 'pt-b']
    """
    found = re.findall(r"^set -- (pt-[0-9a-z]+(?: pt-[0-9a-z]+)*)$", script, re.MULTILINE)
    return found[-1].split(" ") if found else []


def array_name(names: Sequence[str]) -> str:
    """The name of an array in Slurm."""
    return ARRAY_PREFIX + hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]


def _forbidden(settings: SlurmSettings, said: SlurmOptions, options: dict[str, object]) -> str:
    for key, value in options.items():
        if key == "arguments":
            continue
        if key not in settings.allow:
            return f"executor_options: {key!r} is not allowed for steps here; add it to `allow` of the executor"
        if not _VALUE.fullmatch(str(value)) and key != "time":
            return f"executor_options: {key}: {value!r} is no value for sbatch"
    for argument in said.arguments:
        found = _ARGUMENT.fullmatch(argument)
        if found is None or found[1] not in settings.allow_arguments or not _VALUE.fullmatch(found[2] or ""):
            allowed = ", ".join(settings.allow_arguments) or "none"
            return f"executor_options: argument {argument!r} is not allowed; `allow_arguments` of the executor has {allowed}"
    return ""


def _time(settings: SlurmSettings, said: SlurmOptions, policies: Policies) -> str:
    if value := said.time or settings.time:
        return _minutes(value)
    if policies.timeout_s is None:
        return ""
    # Ours comes first: Slurm's is there for the case that nobody of ours is left to keep it.
    return str(math.ceil((policies.timeout_s + policies.grace_s) / 60) + 5)


def _minutes(value: str | float) -> str:
    if isinstance(value, str) and _SLURM_TIME.fullmatch(value) and (":" in value or "-" in value):
        return value
    return str(max(1, math.ceil(seconds(value) / 60)))


def _needs(settings: SlurmSettings, policies: Policies, overhead_bytes: int) -> list[str]:
    found = []
    if policies.cpu:
        found.append(f"--cpus-per-task={math.ceil(policies.cpu)}")
    if policies.memory_bytes:
        found.append(f"--mem={math.ceil((policies.memory_bytes + overhead_bytes) / (1 << 20))}M")
    gres = [f"gpu:{math.ceil(policies.gpu)}"] if policies.gpu else []
    licenses: list[str] = []
    for resource, count in policies.resources:
        kind, _, name = settings.resources[resource].partition("/")
        (gres if kind == "gres" else licenses).append(f"{name}:{math.ceil(count)}")
    if gres:
        found.append(f"--gres={','.join(gres)}")
    if licenses:
        found.append(f"--licenses={','.join(licenses)}")
    return found


def _comment(job: Job) -> str:
    text = f"{job.brief.pipeline}/{job.brief.step} of run {job.brief.run}"
    return re.sub(r"[^A-Za-z0-9_./\[\] -]", "?", text)[:200]
