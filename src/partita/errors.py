"""Every error that Partita raises, in families that are handled in different places.

    PartitaError
    ├── DefinitionError      the user's definition is wrong     (reported by `check`, nothing was run)
    │   ├── GraphError           a graph that cannot be: cycle, unknown need, duplicate name
    │   ├── ScheduleError        a rule, a time zone or an option of a schedule that cannot be
    │   ├── SelectionError       a selection that cannot be read or matches nothing
    │   └── ParamError           a parameter of a run that does not fit its type
    ├── UserCodeError        the user's code failed             (recorded on the attempt, retried by policy)
    │   ├── ValueCodecError      a value that cannot be stored or read back
    │   └── Cancelled            raised inside user code when its attempt is to stop (a BaseException)
    ├── NotAllowed           somebody may not do what they asked for
    └── WorldError           our world is broken                (the engine stops or waits, nothing is lost)
        ├── StoreError           the store refused, failed or is damaged
        │   ├── StoreLocked          another process owns the store
        │   ├── StoreTooNew          the store was written by a newer program
        │   ├── StoreFull            no space left, or the store cannot be written
        │   │   └── StoreAway            the database cannot be reached just now
        │   └── Fenced               this engine's epoch is over: another one took the lease
        ├── ExecutorError        workers cannot be started
        └── LoadError            a project could not be loaded (import failed, took too long, died)
    InvalidTransition        a bug of ours: the machine was asked for a move that its table forbids

A message says what, where and what to do; `hint` is the last of these.
"""

from __future__ import annotations


class PartitaError(Exception):
    """The root of the tree; `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class DefinitionError(PartitaError):
    """A definition is wrong; `file` and `line` say where it was written."""

    def __init__(
        self, message: str, *, hint: str | None = None, file: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file else ""
        return where + super().__str__()


class GraphError(DefinitionError):
    """The graph cannot be: a cycle, an unknown need, a name used twice."""


class ScheduleError(DefinitionError):
    """A schedule cannot be: its rule cannot be read, there is no such time zone, an option makes no sense."""


class SelectionError(DefinitionError):
    """A selection cannot be read, or it matches nothing."""


class ParamError(DefinitionError):
    """A parameter of a run does not fit its type."""


class UserCodeError(PartitaError):
    """The user's code failed."""


class ValueCodecError(UserCodeError):
    """A value cannot be stored, or cannot be read back."""


class Cancelled(BaseException):
    """Raised inside user code when its attempt is to stop: by a cancel, a timeout or a shutdown.

    A `BaseException`, so that `except Exception` in user code does not swallow it and `finally` still runs.
    """


class NotAllowed(PartitaError):
    """Somebody may not do what they asked for; the message says who may."""


class WorldError(PartitaError):
    """Something around us is broken: store, disk, processes."""


class StoreError(WorldError):
    """The store refused, failed or is damaged."""


class StoreLocked(StoreError):
    """Another process owns the store."""


class StoreTooNew(StoreError):
    """The store was written by a newer program than this one."""


class StoreFull(StoreError):
    """The store cannot be written: no space left, or read-only."""


class StoreAway(StoreFull):
    """The database cannot be reached just now: what waits to be written is written when it is back.

    `in_doubt`: it went away during a commit, and has not said yet whether that happened.
    """

    def __init__(self, message: str, *, hint: str | None = None, in_doubt: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.in_doubt = in_doubt


class Fenced(StoreError):
    """The epoch of this engine is over: another one took the lease."""


class ExecutorError(WorldError):
    """Workers cannot be started."""


class LoadError(WorldError):
    """A project could not be loaded: its import failed, took too long or died.

    `passing`: the same files may load another time, for it was not the code that failed, but it took too long or was killed.
    """

    def __init__(self, message: str, *, hint: str | None = None, passing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing


class InvalidTransition(Exception):
    """A bug of ours: the machine was asked for a move that its table forbids."""
