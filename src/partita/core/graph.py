"""The compiled graph: what `define` makes of the user's code, and all that the machine knows about it.

Map axes. A step has `axes`, the names of the maps it stands in, outermost first; its instances are indexed by one
position per axis ("" without axes, "17" with one, "3.17" with two). A step that reads another one shares the
common prefix of their axes with it: element by element along the prefix, gathered into (nested) lists along what
the upstream has beyond it. A loop is an axis that grows by one while its decider asks for more.

Rule: frozen plain data with a canonical encoding; `version(graph)` is its content hash.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from partita.core.policies import Policies

Path = tuple[str | int, ...]


# --- where an argument comes from -------------------------------------------------------------------------------


class Const(msgspec.Struct, frozen=True, tag="const"):
    """A constant, as packed plain data."""

    data: bytes


class Param(msgspec.Struct, frozen=True, tag="param"):
    """A parameter of the run."""

    name: str
    path: Path = ()


class Output(msgspec.Struct, frozen=True, tag="output"):
    """The result of an upstream step: one value, or nested lists along the axes that only the upstream has.

    `last`: the last instance along the upstream's innermost axis instead of the list (the result of a loop).
    """

    step: str
    path: Path = ()
    last: bool = False


class Element(msgspec.Struct, frozen=True, tag="element"):
    """This instance's element of source number `source` of the axis."""

    axis: str
    source: int = 0
    path: Path = ()


class Carry(msgspec.Struct, frozen=True, tag="carry"):
    """The state that a loop carries: `sources[0]` of its axis first, then the result of its decider."""

    axis: str
    path: Path = ()


class FirstOf(msgspec.Struct, frozen=True, tag="first_of"):
    """The result of the first of these steps that succeeded (what comes out of a branch)."""

    steps: tuple[str, ...]
    path: Path = ()


class Stored(msgspec.Struct, frozen=True, tag="stored", omit_defaults=True):
    """The latest stored value of an asset (partition) that this run does not make.

    `mapping` (a packed `core.mappings.Mapping`) says of which partitions, if not of that of the run.
    """

    asset: str
    mapping: bytes = b""


class Token(msgspec.Struct, frozen=True, tag="token"):
    """The token with which another system answers an external gate; reading it is no need."""

    step: str


class ListOf(msgspec.Struct, frozen=True, tag="list"):
    """A list written by the user with bindings in it."""

    items: tuple[Binding, ...]


class DictOf(msgspec.Struct, frozen=True, tag="dict"):
    """A dict written by the user with bindings in it."""

    items: tuple[tuple[str, Binding], ...]


Binding = Const | Param | Output | Element | Carry | FirstOf | Stored | Token | ListOf | DictOf


# --- when a step may run ------------------------------------------------------------------------------------------

JoinRule = Literal[
    "all_succeeded",
    "all_failed",
    "all_done",
    "all_done_any_succeeded",
    "all_done_setup_succeeded",
    "any_succeeded",
    "any_failed",
    "any_done",
    "none_failed",
    "none_skipped",
    "none_failed_any_succeeded",
    "all_skipped",
    "always",
]
"""Airflow's thirteen trigger rules under clear names; `always` does not wait for anything."""


class Is(msgspec.Struct, frozen=True, tag="is"):
    """True when the named upstream step ended so ("failed" includes upstream_failed; "done" is any end)."""

    step: str
    state: Literal["succeeded", "failed", "skipped", "done"]


class Not(msgspec.Struct, frozen=True, tag="not"):
    item: Condition


class AllOf(msgspec.Struct, frozen=True, tag="all"):
    items: tuple[Condition, ...]


class AnyOf(msgspec.Struct, frozen=True, tag="any"):
    items: tuple[Condition, ...]


Condition = Is | Not | AllOf | AnyOf
When = JoinRule | Is | Not | AllOf | AnyOf


class Guard(msgspec.Struct, frozen=True):
    """The step runs only if `step` chose one of `choices` (packed plain scalars); else it is skipped.

    `unless`: runs only if it chose none of them (the default arm of a branch).
    """

    step: str
    choices: tuple[bytes, ...]
    unless: bool = False


# --- the graph ----------------------------------------------------------------------------------------------------


class Loop(msgspec.Struct, frozen=True):
    """An axis that grows while `decider` reports `again`, up to `limit` rounds."""

    decider: str
    limit: int
    on_limit: Literal["succeed", "fail"] = "succeed"


class Axis(msgspec.Struct, frozen=True):
    """One map: its sources are zipped and must have equal lengths; `outer` are the axes it is nested in.

    A source is `ListOf` (known now), `Param`, or `Output` (known when that step has ended). Of a loop, `sources`
    is the initial state alone.
    """

    name: str
    sources: tuple[Binding, ...]
    outer: tuple[str, ...] = ()
    loop: Loop | None = None


class CheckOf(msgspec.Struct, frozen=True):
    """This step is a quality test of an asset."""

    asset: str
    name: str
    blocking: bool = False


GateKind = Literal["approval", "external", "timer", "condition"]


class GateSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gate waits for, and what becomes of it. Times in seconds; the step's `args` are the material to decide on.

    Of a timer, argument `for` (a duration) or `until` (an instant) says how long; of a condition `condition` names its
    kind and the arguments are its options.
    """

    of: GateKind
    text: str = ""
    # Who may answer: names, and "role:operator"; empty = everybody who may act at all.
    by: tuple[str, ...] = ()
    # So many people must say the same. One who says a choice of `rejecting` is enough.
    quorum: int = 1
    # Whoever started the run may not answer.
    four_eyes: bool = False
    choices: tuple[str, ...] = ()
    rejecting: tuple[str, ...] = ()
    on_reject: Literal["fail", "skip", "continue"] = "fail"
    # The JSON schema of the typed answer, as text; "" = none is taken.
    schema: str = ""
    remind_s: float | None = None
    timeout_s: float | None = None
    on_timeout: Literal["fail", "skip", "default"] = "fail"
    # With on_timeout "default": the choice of an approval, else the packed value.
    default: str = ""
    default_value: bytes | None = None
    heartbeat_s: float | None = None
    condition: str = ""
    poke_s: float = 0.0


StepKind = Literal["task", "asset", "check", "bundle", "member", "shell", "script", "gate", "container"]


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node of the graph.

    `needs` names every upstream step: those that `args`, `guards` and `when` read, and those that order alone asks for.
    `kind` "bundle" is a step whose one attempt performs many `member` steps (a `@multi_asset`, a dbt build): members
    name it in `bundle`, have needs of their own, and are driven by what the bundle's attempt reports.
    """

    key: str
    kind: StepKind = "task"
    # The name under which the worker finds the function in the project; members have none.
    call: str = ""
    axes: tuple[str, ...] = ()
    args: tuple[tuple[str, Binding], ...] = ()
    needs: tuple[str, ...] = ()
    when: When = "all_succeeded"
    guards: tuple[Guard, ...] = ()
    policies: Policies = Policies()
    group: tuple[str, ...] = ()
    # What the worker is to report beside the value: its branch choice; whether a loop goes on.
    reports_choice: bool = False
    reports_again: bool = False
    # Teardowns name the setups they belong to; their failure does not fail the run unless `counts`.
    teardown_of: tuple[str, ...] = ()
    counts: bool = True
    bundle: str | None = None
    asset: str | None = None
    check: CheckOf | None = None
    # Names of assets that this step only reads or writes elsewhere (lineage, no order).
    reads: tuple[str, ...] = ()
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    code_version: str = ""
    # Where the user wrote it: "pipelines.py:17".
    written_at: str = ""
    # How an instance of a map is called in lists, as a template over its arguments; "" = its index.
    label: str = ""
    # Of a step that waits instead of running (`kind` "gate").
    gate: GateSpec | None = None
    # Of an asset (or its check) that has no partitions: what it makes is of none, whatever partition its run has.
    partitioned: bool = True


class Graph(msgspec.Struct, frozen=True):
    """Steps in an order in which each stands after its needs, and the axes they stand in."""

    name: str
    steps: tuple[Step, ...]
    axes: tuple[Axis, ...] = ()

    def step(self, key: str) -> Step:
        """The step of that key. Raises `KeyError`."""
        for step in self.steps:
            if step.key == key:
                return step
        raise KeyError(key)


def version(graph: Graph) -> str:
    """The content hash of a graph: an edit that changes nothing that runs makes no new version."""
    return hashlib.sha256(encode(graph)).hexdigest()[:16]


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Graph)


def encode(graph: Graph) -> bytes:
    """The canonical bytes of a graph."""
    return _encoder.encode(graph)


def decode(data: bytes) -> Graph:
    """The graph of its canonical bytes. Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)


def steps_read(binding: Binding) -> tuple[str, ...]:
    """The steps whose results a binding reads, in the order in which they stand in it."""
    match binding:
        case Output(step=step):
            return (step,)
        case FirstOf(steps=steps):
            return steps
        case ListOf(items=items):
            return tuple(s for item in items for s in steps_read(item))
        case DictOf(items=pairs):
            return tuple(s for _, item in pairs for s in steps_read(item))
        case _:
            return ()


def axes_read(binding: Binding) -> tuple[str, ...]:
    """The axes whose elements or carried state a binding reads."""
    match binding:
        case Element(axis=axis) | Carry(axis=axis):
            return (axis,)
        case ListOf(items=items):
            return tuple(a for item in items for a in axes_read(item))
        case DictOf(items=pairs):
            return tuple(a for _, item in pairs for a in axes_read(item))
        case _:
            return ()
