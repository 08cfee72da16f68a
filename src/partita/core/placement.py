"""What a step takes of the machine that it runs on: cores, memory, GPUs, and what else the capacity names.

Whole numbers only (thousandths, and bytes of memory), so that what is taken is given back to the last bit. The admission counts
them as it counts slots; here is what a step asks for, how it is said, and what it may have after it ran out of memory.

Rule: pure; who has how much of what is looked up elsewhere (`executors/capacity.py`, `[tool.partita] capacity`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from partita.core.events import Failure
from partita.core.graph import Step
from partita.core.policies import Policies

Key = tuple[str, ...]
MACHINE = "machine"
# One core, one GPU, one of anything that is counted.
WHOLE = 1000
# How long a step may be passed by smaller ones before room is kept for it.
PATIENCE_S = 60.0
# Without a cap of its own, memory grows so often.
_GROWTHS = 3
_MOST_GROWTHS = 16
_GPUS = " on gpu "


class Capacity(msgspec.Struct, frozen=True):
    """How much there is: thousandths by name ("cpu", "gpu", "license"), bytes of "memory", and the indexes of the GPUs."""

    amounts: dict[str, int] = {}
    gpus: tuple[str, ...] = ()


# --- what a step asks for ---------------------------------------------------------------------------------------------


def asks(policies: Policies, grown: int = 0) -> tuple[tuple[Key, int], ...]:
    """What an attempt takes while it is open, after its memory has grown so often. Nothing declared, nothing taken.

    >>> asks(Policies(cpu=0.5, memory_bytes=1024))
    ((('machine', 'cpu'), 500), (('machine', 'memory'), 1024))
    """
    found: list[tuple[Key, int]] = []
    if policies.cpu:
        found.append(((MACHINE, "cpu"), _thousandths(policies.cpu)))
    memory = memory_of(policies, grown)
    if memory is not None:
        found.append(((MACHINE, "memory"), memory))
    if policies.gpu:
        found.append(((MACHINE, "gpu"), gpus_of(policies) * WHOLE))
    found.extend(((MACHINE, name), _thousandths(amount)) for name, amount in policies.resources if amount)
    return tuple(found)


def gpus_of(policies: Policies) -> int:
    """How many GPUs a step gets on this machine: each is its own, a part of one is a whole one."""
    return math.ceil(policies.gpu)


def fitted(policies: Policies, grown: int = 0) -> Policies:
    """The policies by which an attempt is executed here: with the memory it has by now, and alone if it has a GPU.

    A program looks once which GPUs are its own, so a process that had others before would not see them.
    """
    if grown:
        policies = msgspec.structs.replace(policies, memory_bytes=memory_of(policies, grown))
    if policies.gpu and not policies.executor:
        policies = msgspec.structs.replace(policies, isolation="process", asynchronous=False)
    return policies


def _thousandths(amount: float) -> int:
    return max(1, round(amount * WHOLE))


# --- more memory ------------------------------------------------------------------------------------------------------


def memory_of(policies: Policies, grown: int) -> int | None:
    """The memory of an attempt after it has grown so often; None if the step declares none.

    >>> memory_of(Policies(memory_bytes=100, memory_on_oom=2.0, memory_cap_bytes=350), 2)
    350
    """
    base = policies.memory_bytes
    if base is None or not grown or policies.memory_on_oom <= 1.0:
        return base
    most = policies.memory_cap_bytes
    if most is None:
        most = math.ceil(base * policies.memory_on_oom**_GROWTHS)
    return max(base, min(most, math.ceil(base * policies.memory_on_oom ** min(grown, _MOST_GROWTHS))))


def growths(policies: Policies) -> int:
    """How often the memory of a step can grow before it is at its cap."""
    count = 0
    while count < _MOST_GROWTHS and (memory_of(policies, count + 1) or 0) > (memory_of(policies, count) or 0):
        count += 1
    return count


def grows_after(policies: Policies, state: str, failure: Failure | None, grown: int) -> str:
    """Why an attempt that ended so is followed by one with more memory; "" if it is not. It spends none of the retries."""
    if state != "failed" or failure is None or failure.cause != "out_of_memory" or grown >= growths(policies):
        return ""
    had, gets = memory_of(policies, grown), memory_of(policies, grown + 1)
    assert had is not None
    assert gets is not None
    return f"out of memory with {size(had)}, again with {size(gets)}"


# --- GPUs by index ----------------------------------------------------------------------------------------------------


class Gpus:
    """Which GPUs are whose, by ticket."""

    def __init__(self, indexes: Iterable[str] = ()) -> None:
        self.indexes = tuple(indexes)
        self.held: dict[int, tuple[str, ...]] = {}

    def take(self, ticket: int, count: int) -> tuple[str, ...]:
        """The first free ones; fewer if there are not so many (the admission counts, not this)."""
        taken = {index for indexes in self.held.values() for index in indexes}
        found = tuple(index for index in self.indexes if index not in taken)[:count]
        if found:
            self.held[ticket] = found
        return found

    def hold(self, ticket: int, indexes: tuple[str, ...]) -> None:
        """An attempt of an earlier engine has these."""
        if indexes:
            self.held[ticket] = indexes

    def give_back(self, ticket: int) -> None:
        """An attempt has ended."""
        self.held.pop(ticket, None)


def place_name(worker: str, gpus: tuple[str, ...]) -> str:
    """How the place of an attempt is written down, so that a later engine knows which GPUs it holds.

    >>> place_name("host:17:99", ("0", "2")), parted("host:17:99 on gpu 0,2")
    ('host:17:99 on gpu 0,2', ('host:17:99', ('0', '2')))
    """
    return f"{worker}{_GPUS}{','.join(gpus)}" if gpus else worker


def parted(place: str) -> tuple[str, tuple[str, ...]]:
    """The worker and the GPUs of a place."""
    worker, _, gpus = place.partition(_GPUS)
    return worker, tuple(gpus.split(",")) if gpus else ()


# --- capacity ---------------------------------------------------------------------------------------------------------


def declared(found: Capacity, projects: Iterable[Mapping[str, float]]) -> Capacity:
    """What there is, where projects say otherwise than the machine itself: the smallest that any of them says.

    Amounts are as written: cores, GPUs and others as numbers, memory in bytes.
    """
    amounts = dict(found.amounts)
    said: dict[str, int] = {}
    for project in projects:
        for name, amount in project.items():
            n = round(amount) if name == "memory" else round(amount * WHOLE)
            said[name] = min(n, said.get(name, n))
    amounts.update(said)
    gpus = found.gpus
    count = amounts.get("gpu", 0) // WHOLE
    if "gpu" in said and len(gpus) != count:
        gpus = gpus[:count] if len(gpus) > count else tuple(map(str, range(count)))
    return Capacity(amounts, gpus)


def misfit(steps: Iterable[Step], capacity: Capacity) -> list[tuple[Step, str]]:
    """The steps that ask for more than there is at all, with what to say about each. Those of other executors are not looked at."""
    found = []
    for step in steps:
        for key, n in asks(step.policies) if not step.policies.executor else ():
            there = capacity.amounts.get(key[1], 0)
            if n > there:
                found.append((step, never(key[1], n, there)))
                break
    return found


# --- in words ---------------------------------------------------------------------------------------------------------


def waits(name: str, wants: int, used: int, capacity: int, kept: int = 0) -> str:
    """Why a step does not start yet.

    >>> waits("memory", 4 << 30, 12 << 30, 15 << 30), waits("cpu", 2000, 7000, 8000)
    ('waits for 4 GiB of memory: 3 of 15 GiB are free', 'waits for 2 cores: 1 of 8 is free')
    """
    free = max(0, capacity - used)
    verb = "is" if name != "memory" and free == WHOLE else "are"
    text = f"waits for {amount(name, wants)}: {_of(name, free, capacity)} {verb} free"
    return text + (f", and {amount(name, kept)} kept for a step that has waited longer" if kept else "")


def never(name: str, wants: int, capacity: int) -> str:
    """Why a step can never start here.

    >>> never("license", 2000, 0)
    'it asks for 2 of license, and this machine has none: it can never start here'
    """
    there = f"{amount(name, capacity)} in all" if capacity else "none"
    return f"it asks for {amount(name, wants)}, and this machine has {there}: it can never start here"


def amount(name: str, n: int) -> str:
    """So much of it, in words."""
    if name == "memory":
        return f"{size(n)} of memory"
    count = _count(n)
    if name in _UNITS:
        one, many = _UNITS[name]
        return f"{count} {one if n == WHOLE else many}"
    return f"{count} of {name}"


_UNITS = {"cpu": ("core", "cores"), "gpu": ("GPU", "GPUs")}


def _of(name: str, free: int, capacity: int) -> str:
    if name != "memory":
        return f"{_count(free)} of {_count(capacity)}"
    there, whole = size(free), size(capacity)
    unit = whole.rpartition(" ")[2]
    return f"{there.removesuffix(f' {unit}')} of {whole}"


def _count(n: int) -> str:
    return f"{n / WHOLE:g}"


def size(count: int) -> str:
    """Bytes for people.

    >>> size(4402341478), size(1 << 30)
    ('4.1 GiB', '1 GiB')
    """
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.1f}".removesuffix(".0") + f" {unit}"
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + " TiB"
