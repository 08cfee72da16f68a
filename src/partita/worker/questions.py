"""What the engine asks of the user's small functions, and the answers: sensors, conditions, timetables, mappings, tests.

They are carried out by the project's evaluator (`worker.evaluating`), which takes no worker slots, and asked for through
`executors.evaluator`. A wait-step asks `EvaluateCondition`, again and again, and gets a `ConditionMet`.

Rule: plain data both ways, as msgpack frames; whatever user code does becomes an `Answered` with a failure.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from partita.core.alerts import Message
from partita.core.events import Failure
from partita.core.manifest import ChannelSpec, Problem, SensorSpec


class EvaluateSensor(msgspec.Struct, frozen=True, array_like=True, tag="evaluate_sensor"):
    """Let a sensor look at the world. `state` is what its last look answered; `events` (packed) are what the engine took
    in for it: deliveries, ends of runs, updates of assets. `at`: seconds since the epoch.
    """

    spec: SensorSpec
    state: bytes | None
    at: float
    events: tuple[bytes, ...] = ()


class WantedRun(msgspec.Struct, frozen=True, array_like=True):
    """A run that a sensor asks for. `params` are checked and packed; or `raw` is the packed dict as the user wrote it,
    because the pipeline is another project's. `keys`: all the keys that this one run stands for.
    """

    pipeline: str
    keys: tuple[str, ...] = ()
    params: dict[str, bytes] = {}
    raw: bytes = b""
    partition: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 0


class SensorLook(msgspec.Struct, frozen=True, array_like=True, tag="sensor_look"):
    """What a sensor saw. `more`: there is more to see at once; `due_at`: look again then, also if that is early."""

    state: bytes | None
    requests: tuple[WantedRun, ...] = ()
    skipped: str = ""
    more: bool = False
    due_at: float | None = None


class EvaluateCondition(msgspec.Struct, frozen=True, array_like=True, tag="evaluate_condition"):
    """Is a condition met? `of`: "file", "object", "http", "sql" with their packed `options`, or "function" with `call` and
    `args` (a packed dict of arguments by name). `memory` is what the last evaluation answered.
    """

    of: str
    options: bytes = b""
    call: str = ""
    args: bytes = b""
    memory: bytes | None = None
    at: float = 0.0


class ConditionMet(msgspec.Struct, frozen=True, array_like=True, tag="condition_met"):
    """Whether it is, and why (not). `value` (packed) is what was found: a path, a body, the first row."""

    met: bool
    reason: str = ""
    value: bytes = b"\xc0"
    memory: bytes | None = None


class NextInstants(msgspec.Struct, frozen=True, array_like=True, tag="next_instants"):
    """The next `count` instants of a user's own timetable: `call(after)` gives the next one, or an iterable of them."""

    call: str
    after: float
    count: int = 100


class Instants(msgspec.Struct, frozen=True, array_like=True, tag="instants"):
    """In order, each later than what was asked for. `ended`: there are no more."""

    at: tuple[float, ...]
    ended: bool = False


class MapPartitions(msgspec.Struct, frozen=True, array_like=True, tag="map_partitions"):
    """For each partition key, the keys that a user's own mapping gives: `call(key)` gives a key or an iterable of keys."""

    call: str
    keys: tuple[str, ...]


class MappedPartitions(msgspec.Struct, frozen=True, array_like=True, tag="mapped_partitions"):
    """In the order of the question."""

    keys: tuple[tuple[str, ...], ...]


class TestResource(msgspec.Struct, frozen=True, array_like=True, tag="test_resource"):
    """Does a resource work? `call()` raises or returns False (or a text that says why not) if it does not."""

    # No class of tests, whatever pytest thinks.
    __test__ = False

    call: str
    name: str = ""


class ResourceTested(msgspec.Struct, frozen=True, array_like=True, tag="resource_tested"):
    """How the test went."""

    works: bool
    message: str = ""


class ReadSecret(msgspec.Struct, frozen=True, array_like=True, tag="read_secret"):
    """The value of a secret, as the project's processes find it: webhooks are verified with it. Answered by `Returned`."""

    name: str


class CallFunction(msgspec.Struct, frozen=True, array_like=True, tag="call_function"):
    """Call one of the project's functions with `args` (a packed dict by name). An iterator is read to `limit` items."""

    call: str
    args: bytes = b"\x80"
    limit: int = 1000


class Returned(msgspec.Struct, frozen=True, array_like=True, tag="returned"):
    """What it returned, packed plain data."""

    value: bytes


class SendMessage(msgspec.Struct, frozen=True, array_like=True, tag="send_message"):
    """Send a message where a channel of the project says."""

    channel: ChannelSpec
    message: Message


class MessageSent(msgspec.Struct, frozen=True, array_like=True, tag="message_sent"):
    """How it went: what the other side answered, or why it did not take it."""

    answer: str = ""
    error: str = ""
    retry_after_s: float | None = None


class BindParams(msgspec.Struct, frozen=True, array_like=True, tag="bind_params"):
    """Check parameters of a run against the pipeline's signature. `raw`: the dict as the user gave it, packed."""

    pipeline: str
    raw: bytes


class BoundParams(msgspec.Struct, frozen=True, array_like=True, tag="bound_params"):
    """Packed parameters, or what is wrong with them."""

    params: dict[str, bytes] = {}
    problems: tuple[Problem, ...] = ()


Request = (
    EvaluateSensor
    | EvaluateCondition
    | NextInstants
    | MapPartitions
    | TestResource
    | ReadSecret
    | CallFunction
    | SendMessage
    | BindParams
)
Answer = SensorLook | ConditionMet | Instants | MappedPartitions | ResourceTested | Returned | MessageSent | BoundParams


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A question under its number. The time counts from the moment at which it is begun."""

    no: int
    timeout_s: float
    request: Request


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """What came of a question: an answer, or the failure of user code. Number 0: the evaluator is ready.

    `output` is what was printed meanwhile, bounded and masked. `stuck`: functions that go on after their time.
    """

    no: int
    answer: Answer | None = None
    failure: Failure | None = None
    output: str = ""
    took_s: float = 0.0
    stuck: int = 0


_encoder: Final = msgspec.msgpack.Encoder()
_LENGTH = struct.Struct(">I")
ask_decoder: Final[msgspec.msgpack.Decoder[Ask]] = msgspec.msgpack.Decoder(Ask)
answered_decoder: Final[msgspec.msgpack.Decoder[Answered]] = msgspec.msgpack.Decoder(Answered)


def frame(message: Ask | Answered) -> bytes:
    """The bytes of one frame; `worker.wire.frames` takes them apart again."""
    body: bytes = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body
