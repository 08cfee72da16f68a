"""Which executor performs each step: what `[tool.partita]` names, and what task, pipeline, rules and project say of it.

The nearest word counts: that of the task, then of its pipeline, then of the first rule that fits, then of the project.
Options are laid over each other in the same order, as far as they are meant for the executor that was found.

Rule: here names are given to steps; what an engine takes is known by its own module (`executors/clusters/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import msgspec

from partita.core.graph import Graph, Step
from partita.core.manifest import ExecutorSpec
from partita.core.policies import Policies
from partita.define.durations import seconds, size
from partita.define.guess import did_you_mean
from partita.define.names import name_problem
from partita.define.where import wrong
from partita.errors import DefinitionError
from partita.settings import VALUE_ADDRESSES

if TYPE_CHECKING:
    from partita.define.pipeline import PipelineDef

LOCAL: Final = "local"
# What needs no worker, or has one for all; and what tells of its parts while it goes on, which no cluster passes on.
_NOWHERE: Final = ("gate", "member")
_ONLY_LOCAL: Final = ("bundle",)
_OWN_KEYS: Final = ("kind", "exchange", "start_timeout")


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody says about where steps run. `options`: a JSON object, "" = nothing."""

    executor: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A word about the steps that fit. Patterns with `*`; empty = all. Amounts: more than so much."""

    word: Word
    pipelines: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    above: tuple[tuple[str, float], ...] = ()

    def fits(self, step: Step, pipeline: PipelineDef | None) -> bool:
        """Whether it speaks of a step."""
        of, tags = (pipeline.name, pipeline.tags) if pipeline is not None else ("", ())
        names = (step.key, step.key.rpartition(".")[2], step.asset or "")
        return (
            (not self.pipelines or _is_like((of,), self.pipelines))
            and (not self.tasks or _is_like(names, self.tasks))
            and (not self.tags or _is_like((*step.tags, *tags), self.tags))
            and all(_amount_of(step.policies, what) > amount for what, amount in self.above)
        )


@dataclass(frozen=True, slots=True)
class Routing:
    """What `[tool.partita]` says about executors."""

    executors: tuple[ExecutorSpec, ...] = ()
    project: Word = Word()
    rules: tuple[Rule, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that `executor=` may say."""
        return (LOCAL, *(spec.name for spec in self.executors))


# --- what the settings say ----------------------------------------------------------------------------------------


def read_routing(table: Mapping[str, Any]) -> Routing:
    """`executors`, `executor` and `executor_rules` of `[tool.partita]`. Raises `ValueError`."""
    executors = tuple(_executors(table.get("executors", {})))
    names = (LOCAL, *(spec.name for spec in executors))
    project = _known(table.get("executor", ""), names, "`executor`")
    rules = table.get("executor_rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ValueError("`executor_rules` must be tables: write [[tool.partita.executor_rules]]")
    return Routing(executors, Word(project), tuple(_rule(rule, no, names) for no, rule in enumerate(rules, 1)))


def _executors(tables: object) -> Iterator[ExecutorSpec]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError('`executors` must be tables: write [tool.partita.executors.ray] and kind = "ray"')
    for name, table in tables.items():
        if problem := name_problem(name):
            raise ValueError(f"executor: {problem}")
        if name == LOCAL:
            raise ValueError(f"executor `{LOCAL}` is what this machine's own processes are called: take another name")
        yield _executor(name, table)


def _executor(name: str, table: dict[str, Any]) -> ExecutorSpec:
    kind, exchange = table.get("kind", ""), table.get("exchange", "")
    if not isinstance(kind, str) or not kind:
        raise ValueError(f'executor `{name}` must have a kind: kind = "dask", "ray", "kubernetes" or "slurm"')
    if not isinstance(exchange, str) or (exchange and not exchange.startswith(VALUE_ADDRESSES)):
        raise ValueError(f"executor `{name}`: `exchange` must be an address ({_ADDRESSES}), not {exchange!r}")
    try:
        start_timeout_s = seconds(table.get("start_timeout", "10m"))
    except ValueError as error:
        raise ValueError(f"executor `{name}`: start_timeout: {error}") from None
    if start_timeout_s <= 0:
        raise ValueError(f"executor `{name}`: start_timeout must be more than 0")
    rest = {key: value for key, value in table.items() if key not in _OWN_KEYS}
    return ExecutorSpec(name, kind, _json(rest) or "{}", exchange, start_timeout_s)


_ADDRESSES: Final = "file:///..., s3://..., gs://..., az://..."
_RULE_KEYS: Final = ("executor", "options", "pipeline", "task", "tag", "cpu_above", "gpu_above", "memory_above")


def _rule(table: dict[str, Any], no: int, names: tuple[str, ...]) -> Rule:
    where = f"rule {no} of `executor_rules`"
    for key in table:
        if key not in _RULE_KEYS:
            raise ValueError(f"{where} has no `{key}`; {did_you_mean(key, _RULE_KEYS)}")
    executor = _known(table.get("executor", ""), names, where)
    if not executor:
        raise ValueError(f'{where} names no executor: write executor = "{names[-1]}"')
    above = tuple(
        (key[:-6], _above(table[key], key, where)) for key in _RULE_KEYS if key in table and key[-6:] == "_above"
    )
    found = Rule(
        Word(executor, options_of(table.get("options", {}))),
        _patterns(table, "pipeline", where),
        _patterns(table, "task", where),
        _patterns(table, "tag", where),
        above,
    )
    if not (found.pipelines or found.tasks or found.tags or above):
        raise ValueError(f'{where} says of no step that it is for it: write task = "train_*", or `executor` for all')
    return found


def _patterns(table: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise ValueError(f'{where}: `{key}` must be a name or a list of names ("train_*"), not {value!r}')
    return tuple(items)


def _above(value: object, key: str, where: str) -> float:
    try:
        if key == "memory_above":
            return float(size(value))
    except ValueError as error:
        raise ValueError(f"{where}: {key}: {error}") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{where}: `{key}` must be a number of 0 or more, not {value!r}")
    return float(value)


def _known(value: object, names: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where}: {value!r} is no name of an executor")
    if value and value not in names:
        raise ValueError(f"{where}: {_unknown(value, names)[0]}; {_unknown(value, names)[1]}")
    return value


def _unknown(name: str, names: tuple[str, ...]) -> tuple[str, str]:
    near = did_you_mean(name, names) if len(names) > 1 else None
    return f"there is no executor `{name}`", near or f"name it under [tool.partita.executors.{name}] in pyproject.toml"


def options_of(value: object) -> str:
    """`executor_options` as the policies have them. Raises `ValueError`."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f'{value!r} is no table of options: write {{"image": "..."}}')
    return _json(dict(value))


def _json(table: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(table, order="deterministic").decode() if table else ""
    except (TypeError, ValueError, UnicodeError) as error:
        raise ValueError(f"options are plain data (texts, numbers, lists, tables): {error}") from None


# --- what becomes of the steps ------------------------------------------------------------------------------------


def route(
    graph: Graph, routing: Routing, *, pipeline: PipelineDef | None = None
) -> tuple[Graph, list[DefinitionError]]:
    """The graph with the executor of each step in its policies, and what is wrong."""
    word = pipeline.executor if pipeline is not None else Word()
    if pipeline is not None and word.executor and word.executor not in routing.names:
        message, hint = _unknown(word.executor, routing.names)
        return graph, [wrong(f"pipeline `{pipeline.name}`: {message}", hint=hint, place=pipeline.place)]
    said = word != Word() or routing.project != Word() or routing.rules
    if not said and not any(step.policies.executor or step.policies.executor_options for step in graph.steps):
        return graph, []
    problems: list[DefinitionError] = []
    # Steps of one task have one value of policies, and keep it.
    alike: dict[Policies, Policies] = {}
    steps: list[Step] = []
    for step in graph.steps:
        try:
            policies = _routed(step, routing, pipeline, word)
        except _Wrong as error:
            problems.append(error.at(step))
            policies = step.policies
        policies = alike.setdefault(policies, policies)
        steps.append(step if policies is step.policies else msgspec.structs.replace(step, policies=policies))
    return msgspec.structs.replace(graph, steps=tuple(steps)), problems


class _Wrong(Exception):
    """What a step says about its executor cannot be."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    def at(self, step: Step) -> DefinitionError:
        file, _, line = step.written_at.rpartition(":")
        where = (file, int(line)) if line.isdigit() else (None, None)
        return DefinitionError(f"step `{step.key}`: {self.message}", hint=self.hint, file=where[0], line=where[1])


def _routed(step: Step, routing: Routing, pipeline: PipelineDef | None, of_pipeline: Word) -> Policies:
    mine = Word(step.policies.executor, step.policies.executor_options)
    if step.kind in _NOWHERE:
        return _with(step.policies, "", "")
    rule = next((rule.word for rule in routing.rules if rule.fits(step, pipeline)), Word())
    words = (mine, of_pipeline, rule, routing.project)
    name = next((word.executor for word in words if word.executor), "")
    if name and name not in routing.names:
        raise _Wrong(*_unknown(name, routing.names))
    if not name and mine.options:
        raise _Wrong("`executor_options` are for an executor, and none is named", 'write executor="..." as well')
    if name in ("", LOCAL):
        return _with(step.policies, "", "")
    if step.kind in _ONLY_LOCAL:
        if mine.executor:
            raise _Wrong(
                f"executor `{name}` cannot perform it: it makes several assets in one step, and tells of each when it is done",
                f'write executor="{LOCAL}", or make it several steps',
            )
        return _with(step.policies, "", "")
    return _with(step.policies, name, _merged([word.options for word in words if word.executor in ("", name)]))


def _merged(options: list[str]) -> str:
    """Options laid over each other, the first on top."""
    merged: dict[str, Any] = {}
    for text in reversed(options):
        merged |= msgspec.json.decode(text) if text else {}
    return _json(merged)


def _with(policies: Policies, executor: str, options: str) -> Policies:
    if (policies.executor, policies.executor_options) == (executor, options):
        return policies
    changed: Policies = msgspec.structs.replace(policies, executor=executor, executor_options=options)
    return changed


def _is_like(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names if name for pattern in patterns)


def _amount_of(policies: Policies, what: str) -> float:
    amounts = {"cpu": policies.cpu, "gpu": policies.gpu, "memory": float(policies.memory_bytes or 0)}
    return amounts[what]
