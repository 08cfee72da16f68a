"""What a route gets: who asks, what may be read, whom to ask; and what it may answer with.

Rule: the permission of a route is checked for the namespace of the stored row, here and nowhere else. What the asker may
not see is not there.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from partita.core.permissions import Principal
from partita.engine.access import Entry, carried
from partita.engine.catalog import Catalog
from partita.engine.control import Answer
from partita.errors import WorldError
from partita.server.guarding import Guard, Incoming
from partita.server.links import Links
from partita.server.objects import Page
from partita.server.problems import Refused, not_found
from partita.settings import Settings
from partita.store.contract import RunRow
from partita.store.reading import SqlReader

if TYPE_CHECKING:
    from partita.server.follower import Follower
    from partita.server.routing import Route

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

Limit = Annotated[int, msgspec.Meta(ge=1, le=500, description="At most so many")]
Cursor = Annotated[str, msgspec.Meta(max_length=400, description="`next` of the part before")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Reply(msgspec.Struct, frozen=True):
    """A result with another status, or with headers."""

    value: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Raw(msgspec.Struct, frozen=True):
    """A result that is no JSON."""

    body: bytes
    media: str
    headers: tuple[tuple[str, str], ...] = ()


class Stream(msgspec.Struct, frozen=True):
    """A result that goes on: pieces as they come, until it ends or the client goes."""

    pieces: AsyncIterator[bytes]
    media: str


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is asked for, for the record."""

    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class Call:
    """One request on its way."""

    def __init__(
        self,
        incoming: Incoming,
        route: Route,
        principal: Principal,
        links: Links,
        guard: Guard,
        follower: Follower,
        in_thread: Callable[..., Any],
    ) -> None:
        self.incoming = incoming
        self.route = route
        self.principal = principal
        self.links = links
        self.guard = guard
        self.follower = follower
        # `await call.in_thread(function, *arguments)`, for routes that are coroutines.
        self.in_thread = in_thread
        # For the audit: what it was about.
        self.namespace = ""
        self.object = ""
        self.audited = False
        self._scope = principal.namespaces(route.permission)

    @property
    def settings(self) -> Settings:
        return self.links.settings

    @property
    def reader(self) -> SqlReader:
        """The reader of this thread."""
        return self.links.readers.get()

    @property
    def catalog(self) -> Catalog:
        """What the projects define."""
        return self.links.definitions.catalog(self.reader)

    # --- who may ----------------------------------------------------------------------------------------------------

    def sees(self, namespace: str, permission: str = "") -> bool:
        """Whether the asker may do what this route does there."""
        return self.guard.may(self.principal, permission or self.route.permission, namespace)

    def require(self, namespace: str, what: str, name: str, permission: str = "") -> None:
        """Go on only if the asker may. What they may not even see is not there. Raises `Refused`."""
        self.namespace, self.object = namespace, f"{what}:{name}"
        if self.sees(namespace, permission):
            return
        if self.guard.may(self.principal, "view", namespace):
            needed = permission or self.route.permission
            raise Refused(403, f"this needs permission {needed!r} in namespace {namespace!r}")
        raise not_found(what, name)

    def run(self, name: str, permission: str = "") -> RunRow:
        """The run of an id, a number, or the beginning of an id. Raises `Refused`."""
        row = self.reader.run(name)
        if row is None:
            raise not_found("run", name)
        self.require(row.namespace, "run", row.id if name == row.id else name, permission)
        self.object = f"run:{row.id}"
        return row

    def still_allowed(self) -> bool:
        """Whether whoever opened a stream may still do so: rights that were taken away end it."""
        try:
            return self.guard.admit(self.incoming).namespaces(self.route.permission) == self._scope
        except Refused:
            return False

    # --- the engine -------------------------------------------------------------------------------------------------

    def ask(self, request: msgspec.Struct, returns: type[A] = Answer) -> A:  # type: ignore[assignment]
        """Ask the engine something that changes nothing. Raises what it answers with."""
        return self.links.engine.ask(request, returns)

    def change(
        self,
        request: msgspec.Struct,
        returns: type[A] = Answer,  # type: ignore[assignment]
        *,
        namespace: str = "",
        object: str = "",
    ) -> A:
        """Have the engine change something; the entry of the audit is in the same commit. Raises what it answers with."""
        self.namespace = namespace or self.namespace
        self.object = object or self.object
        entry = Entry(self.principal.name, self.route.key, self.object, self.namespace, self.incoming.address)
        self.audited = True
        return self.links.engine.ask(carried(request, entry), returns)

    # --- lists ------------------------------------------------------------------------------------------------------

    def visible(self, rows: Iterable[R], namespace_of: Callable[[R], str]) -> list[R]:
        """The rows that the asker may see."""
        known: dict[str, bool] = {}
        found = []
        for row in rows:
            namespace = namespace_of(row)
            if namespace not in known:
                known[namespace] = self.sees(namespace)
            if known[namespace]:
                found.append(row)
        return found

    def page(
        self,
        fetch: Callable[[Any, int], Sequence[R]],
        *,
        cursor: str,
        limit: int,
        key: Callable[[R], Any],
        shown: Callable[[R], T],
        namespace_of: Callable[[R], str] | None = None,
        key_type: Any = int,
    ) -> Page[T]:
        """One page of what `fetch(after, limit)` lists; what the asker may not see is passed over."""
        after = read_cursor(cursor, key_type) if cursor else None
        found: list[R] = []
        # Others' rows may be many: after so many pages of them the list goes on by its cursor.
        for _ in range(20):
            rows = fetch(after, limit + 1)
            found += rows if namespace_of is None else self.visible(rows, namespace_of)
            if len(rows) <= limit:
                after = None
                break
            after = key(rows[-1])
            if len(found) > limit:
                break
        if len(found) > limit:
            found = found[:limit]
            after = key(found[-1])
        return Page([shown(row) for row in found], None if after is None else make_cursor(after))


def has_engine(call: Call) -> bool:
    """Whether there is an engine that answers."""
    from partita.engine.control import Status

    try:
        call.ask(Status())
    except WorldError:
        return False
    return True


def make_cursor(key: Any) -> str:
    """An opaque cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(text: str, kind: Any = int) -> Any:
    """What a cursor was made of. Raises `Refused` for one that we have not made."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key = msgspec.json.decode(data, type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise Refused(422, "this is no cursor", hint="take `next` of the page before, as it is") from None
    if isinstance(key, int) and not 0 <= key < 2**62:
        raise Refused(422, "this is no cursor", hint="take `next` of the page before, as it is")
    return key


def page_of(items: Sequence[T], cursor: str, limit: int) -> Page[T]:
    """One page of a list that is in memory and does not change often: the cursor counts."""
    begin = read_cursor(cursor) if cursor else 0
    end = begin + limit
    return Page(list(items[begin:end]), make_cursor(end) if end < len(items) else None)
