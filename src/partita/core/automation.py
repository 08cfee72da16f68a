"""The algebra of automation: conditions that say of each partition of an asset whether it is to be made now.

A condition is looked at for one asset; it gives the set of its partitions for which it holds. Most speak of facts ("it is
missing", "an upstream has newer data"), some of what has changed since the last look (`Newly`, `updated`), and `Since`
remembers. `core.automaton` evaluates and explains them.

Rule: frozen plain data; what a condition means is in `core.automaton`, once for deciding and explaining.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

StateName = Literal[
    "missing",
    "code_changed",
    "in_progress",
    "upstream_newer",
    "updated",
    "requested",
    "late",
    "check_failed",
    "check_passed",
]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("it was never made", "it has been made"),
    "code_changed": ("its code has changed since it was made", "its code is the one that made it"),
    "in_progress": ("a run is making it", "no run is making it"),
    "upstream_newer": ("an upstream has newer data", "no upstream has newer data"),
    "updated": ("its data has just changed", "its data has not just changed"),
    "requested": ("it is asked for just now", "it is not asked for just now"),
    "late": ("it is not fresh", "it is fresh enough"),
    "check_failed": ("a check failed", "no check failed"),
    "check_passed": ("its checks passed", "its checks have not passed"),
}
"""What is said of a state that holds, and of one that does not."""


class State(msgspec.Struct, frozen=True, tag="state"):
    """A fact about the asset (partition). `check` names the one check that is meant ("" = any of them)."""

    of: StateName
    check: str = ""


class Latest(msgspec.Struct, frozen=True, tag="latest"):
    """It is one of the last `count` partitions that have ended, or ended within `within_s`. Holds of what covers no time."""

    count: int = 1
    within_s: float | None = None


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """A tick has come since it was last made or asked for."""

    rule: str
    tz: str = "UTC"


class Upstream(msgspec.Struct, frozen=True, tag="upstream"):
    """The condition holds of any (or of all) of the upstream partitions that it is made from."""

    quantity: Literal["any", "all"]
    item: Condition
    # Only these upstreams; () = all of them.
    assets: tuple[str, ...] = ()


class Not(msgspec.Struct, frozen=True, tag="not"):
    item: Condition


class Both(msgspec.Struct, frozen=True, tag="both"):
    items: tuple[Condition, ...]


class Either(msgspec.Struct, frozen=True, tag="either"):
    items: tuple[Condition, ...]


class Newly(msgspec.Struct, frozen=True, tag="newly"):
    """It holds now and did not at the last look."""

    item: Condition


class Since(msgspec.Struct, frozen=True, tag="since"):
    """`item` has held once since `reset` held last."""

    item: Condition
    reset: Condition


class Named(msgspec.Struct, frozen=True, tag="named"):
    """A condition under the name by which the user wrote it."""

    name: str
    item: Condition


Condition = State | Latest | Cron | Upstream | Not | Both | Either | Newly | Since | Named


class Tree(msgspec.Struct, frozen=True):
    """Why a condition holds, or does not, for one partition: a sentence, and those it is made of."""

    text: str
    holds: bool
    children: tuple[Tree, ...] = ()


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Condition)
_trees = msgspec.msgpack.Decoder(tuple[tuple[str, Tree], ...])


def encode(condition: Condition) -> bytes:
    """The bytes of a condition, for `AssetSpec.automation`."""
    return _encoder.encode(condition)


def decode(data: bytes) -> Condition:
    """The condition of its bytes. Raises `msgspec.DecodeError`."""
    found: Condition = _decoder.decode(data)
    return found


def encode_trees(trees: tuple[tuple[str, Tree], ...]) -> bytes:
    """Explanations by partition, for the record of a decision."""
    return _encoder.encode(trees)


def decode_trees(data: bytes) -> tuple[tuple[str, Tree], ...]:
    """The explanations of their bytes; none of empty bytes."""
    return _trees.decode(data) if data else ()


def on_upstream() -> Condition:
    """Whatever is in the latest window, missing or older than an upstream, once nothing is missing or under way above it."""
    return Named(
        "on_upstream",
        Both(
            (
                Either((State("missing"), State("upstream_newer"))),
                Latest(),
                Not(Upstream("any", Both((State("missing"), Not(State("requested")))))),
                Not(Upstream("any", State("in_progress"))),
            )
        ),
    )


def on_missing() -> Condition:
    """Whatever is in the latest window and was never made, once nothing above it is missing."""
    absent = Upstream("any", Both((State("missing"), Not(State("requested")))))
    return Named("on_missing", Both((State("missing"), Latest(), Not(absent))))


def on_cron(rule: str, tz: str = "UTC") -> Condition:
    """The latest partition (or the asset, if it has none) at each tick, once all its upstreams were made."""
    return Named("on_cron", Both((Cron(rule, tz), Latest(), Not(Upstream("any", State("missing"))))))


def children_of(condition: Condition) -> tuple[Condition, ...]:
    """The conditions that a condition is made of, in order."""
    match condition:
        case Both(items=items) | Either(items=items):
            return items
        case Not(item=item) | Newly(item=item) | Named(item=item) | Upstream(item=item):
            return (item,)
        case Since(item=item, reset=reset):
            return item, reset
        case _:
            return ()


def crons_of(condition: Condition) -> Iterator[Cron]:
    """Every cron rule in a condition."""
    if isinstance(condition, Cron):
        yield condition
    for child in children_of(condition):
        yield from crons_of(child)


def depth_of(condition: Condition) -> int:
    """How many upstreams away a condition looks."""
    deepest = max((depth_of(child) for child in children_of(condition)), default=0)
    return deepest + isinstance(condition, Upstream)
