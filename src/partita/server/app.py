"""The application: from a request to its route and back. One door for the API, the stream, webhooks and the page.

What happens to a request, in this order: its route is found by its path; the guard is asked (for every path, also for
those that lead nowhere); what it carries is read within its limits and checked against the route's types; the route's
function does it, in a thread; the answer gets its headers.

Rule: nothing of a request is looked at before the guard has admitted it, but its head; no answer leaves without the
headers of `_HEADERS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from partita.core.permissions import Principal
from partita.errors import PartitaError
from partita.server import problems
from partita.server.calling import Call, Raw, Reply, Stream
from partita.server.follower import Follower
from partita.server.guarding import Guard, Incoming
from partita.server.idempotency import Kept, Repeats
from partita.server.links import Links
from partita.server.problems import Refused
from partita.server.routing import Route, Router, declared
from partita.server.ui import Ui
from partita.settings import Settings

_log = logging.getLogger("partita.server")

Message = MutableMapping[str, Any]

_THREADS = 8
_QUERY_LIMIT = 16 << 10
_PATH_LIMIT = 4 << 10
# How long a client may take for the body of a request, and to take a piece of a stream.
_BODY_S = 30.0
_SLOWEST_BYTES_S = 256 << 10
_SLOW_S = 30.0
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
_encode = msgspec.json.Encoder().encode


def build_app(
    settings: Settings,
    guard: Guard,
    *,
    routes: Iterable[Route] | None = None,
    ui: Ui | None = None,
    slow_s: float = _SLOW_S,
    links: Links | None = None,
) -> App:
    """The application over the service whose folder is `settings.home`. Raises `TypeError` for a route that cannot be.

    It closes `links` when it is closed, so a guard may share them.

    A client that takes nothing of a stream for `slow_s` is cut off.
    """
    if routes is None:
        from partita.server import routes as nouns

        nouns.declare()
        routes = declared()
    return App(links or Links(settings), guard, tuple(routes), ui or Ui(), slow_s)


class App:
    """An ASGI application."""

    def __init__(self, links: Links, guard: Guard, routes: tuple[Route, ...], ui: Ui, slow_s: float) -> None:
        self.routes = routes
        self.slow_s = slow_s
        self.links = links
        self.guard = guard
        self.measurements = self.links.measurements
        self._router = Router(routes)
        self._decoders = {id(r): _body_decoder(r) for r in routes}
        self._ui = ui
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="partita-web")
        self._repeats = Repeats(self.links)
        self._follower: Follower | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            # There are none; a refusal before the handshake is an answer of 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _Exchange(self, scope, receive, send).carry_out()

    @property
    def follower(self) -> Follower:
        """Of the running loop."""
        if self._follower is None:
            self._follower = Follower(self.links.readers.get)
        return self._follower

    def stop(self) -> None:
        """End streams and waits: they are told why. Call it in the loop's thread."""
        if self._follower is not None:
            self._follower.stop()

    async def close(self) -> None:
        """End the streams, let everything go."""
        if self._follower is not None:
            await self._follower.close()
        self._pool.shutdown(wait=True)
        self.links.close()

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in a thread of the server."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


class _Exchange:
    """One request and its answer."""

    def __init__(self, app: App, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._begun = time.perf_counter()
        self._route: Route | None = None
        self._principal: Principal | None = None
        self._call: Call | None = None
        self._incoming = Incoming("", "", "", {}, "", "")
        self._status = 0

    async def carry_out(self) -> None:
        """Answer, whatever happens."""
        try:
            await self._answer()
        except Refused as refused:
            await self._refuse(refused)
        except PartitaError as error:
            await self._refuse(problems.refusal_of(error))
        except _Gone:
            self._status = self._status or 499
        except Exception:
            _log.exception("%s failed", self._incoming.route or "a request")
            await self._refuse(Refused(500, "the server failed at this request; it has written down how"))
        finally:
            route = self._route.key if self._route is not None else "other"
            self._app.measurements.answered(route, self._status, time.perf_counter() - self._begun)

    async def _answer(self) -> None:
        scope = self._scope
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        raw = raw.partition(b"?")[0]
        method: str = scope["method"]
        headers = _headers(scope["headers"])
        found = None
        problem = _oversized(raw, scope)
        if problem is None:
            try:
                found = self._app._router.find(method, raw)
            except Refused as refused:
                problem = refused
        self._route = found.route if found is not None else None
        self._incoming = _incoming(scope, raw, headers, self._route)
        self._principal = await self._app.in_thread(self._app.guard.admit, self._incoming)
        if problem is not None:
            raise problem
        if found is None:
            await self._page(raw, method)
        elif self._route is None:
            allowed = ", ".join(found.allowed)
            raise Refused(405, f"there is {allowed} here", headers=(("Allow", allowed),))
        else:
            await self._do(self._route, found.names)

    async def _page(self, raw: bytes, method: str) -> None:
        """The page, and its files; beside the API."""
        if raw.startswith((b"/api/", b"/hooks/")) or raw in (b"/api", b"/hooks"):
            raise Refused(404, "nothing is here", hint="the API is described at /api/v1/openapi.json")
        if method != "GET":
            raise Refused(405, "there is GET here", headers=(("Allow", "GET"),))
        file = await self._app.in_thread(self._app._ui.file, raw)
        if file is None:
            raise Refused(404, "nothing is here")
        await self._respond(200, file.body, file.media, file.headers)

    async def _do(self, route: Route, names: dict[str, str]) -> None:
        app, incoming = self._app, self._incoming
        assert self._principal is not None
        arguments = _named(route.path_type, names, 404)
        arguments.update(_queried(route, incoming.query))
        body = await self._read_body(route)
        if route.body is not None:
            arguments["body"] = _decoded(app._decoders[id(route)], body)
        call = self._call = Call(incoming, route, self._principal, app.links, app.guard, app.follower, app.in_thread)
        key = incoming.headers.get("idempotency-key") if route.method == "POST" else None
        if key is not None and not route.takes_key:
            raise Refused(422, "an Idempotency-Key is not taken here: what is answered with is not to be kept")
        if route.is_async:
            result = await route.function(call, **arguments)
        elif key is None:
            result = await app.in_thread(_called, route, call, arguments)
        else:
            digest = hashlib.sha256(b"\0".join((incoming.path.encode(), incoming.query.encode(), body))).digest()
            result = await app.in_thread(
                app._repeats.once, self._principal, key, digest, lambda: _called(route, call, arguments)
            )
        await self._finish(route, call, result)

    async def _finish(self, route: Route, call: Call, result: Any) -> None:
        if isinstance(result, Stream):
            await self._stream(result)
            return
        if not isinstance(result, Kept):
            result = kept_of(route, result)
        # Changes, and what was refused, are for the audit; nothing is left to write when the engine has done so.
        if route.method != "GET":
            await self._audit(result.status)
        await self._respond(result.status, result.body, result.media, result.headers)

    async def _audit(self, status: int) -> None:
        call = self._call
        with contextlib.suppress(PartitaError):
            await self._app.in_thread(
                lambda: self._app.guard.answered(
                    self._incoming,
                    self._principal,
                    status,
                    namespace=call.namespace if call is not None else "",
                    object=call.object if call is not None else "",
                    audited=call.audited if call is not None else False,
                )
            )

    async def _refuse(self, refused: Refused) -> None:
        if self._status:
            return  # an answer has begun; the connection is cut, and the client sees that it is not whole
        is_change = self._incoming.method not in ("GET", "HEAD", "OPTIONS", "")
        if not refused.audited and (is_change or refused.status in (401, 403)):
            await self._audit(refused.status)
        body = _encode(refused.problem)
        await self._respond(refused.status, body, "application/problem+json", refused.headers)

    async def _read_body(self, route: Route) -> bytes:
        headers = self._incoming.headers
        if route.body is None and headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            return b""
        if route.body is not None and route.body is not bytes:
            media = headers.get("content-type", "").partition(";")[0].strip().lower()
            if media != "application/json":
                raise Refused(415, "the body must be JSON", hint="Content-Type: application/json")
        length = headers.get("content-length", "")
        limit = route.max_body if route.body is not None else 1
        if length.isdigit() and int(length) > limit:
            raise Refused(413, f"at most {limit} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_S + limit / _SLOWEST_BYTES_S):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise Refused(413, f"at most {limit} bytes")
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise Refused(400, "the body did not come in time") from None
        if body and route.body is None:
            raise Refused(422, "this takes no body")
        return bytes(body)

    async def _respond(self, status: int, body: bytes, media: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        await self._start(status, media, [*headers, ("content-length", str(len(body)))])
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, status: int, media: str, headers: Iterable[tuple[str, str]]) -> None:
        own = {k.lower().encode("latin-1"): v.encode("latin-1", "replace") for k, v in headers}
        fixed = dict((*_HEADERS, _POLICY))
        if media:
            fixed[b"content-type"] = media.encode()
        self._status = status
        await self._send({"type": "http.response.start", "status": status, "headers": [*{**fixed, **own}.items()]})

    async def _stream(self, stream: Stream) -> None:
        """Send pieces as they come, until the client goes or is too slow."""
        await self._start(200, stream.media, [("x-accel-buffering", "no")])
        sending = asyncio.create_task(self._send_pieces(stream))
        leaving = asyncio.create_task(self._gone())
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            raise error

    async def _send_pieces(self, stream: Stream) -> None:
        pieces = stream.pieces
        try:
            async for piece in pieces:
                async with asyncio.timeout(self._app.slow_s):
                    await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            # It has not taken anything for so long: what it missed it gets when it comes back with its last id.
            raise _Gone from None
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]
        await self._send({"type": "http.response.body", "body": b""})

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


class _Gone(Exception):
    """The client has gone."""


def kept_of(route: Route, result: Any) -> Kept:
    """The answer that a result is."""
    if isinstance(result, Raw):
        return Kept(route.status, result.body, result.media, result.headers)
    headers: tuple[tuple[str, str], ...] = ()
    status = route.status
    if isinstance(result, Reply):
        result, status, headers = result.value, result.status, result.headers
    if status == 204:
        return Kept(status, b"", "", headers)
    return Kept(status, _encode(result), "application/json", headers)


def _called(route: Route, call: Call, arguments: dict[str, Any]) -> Kept:
    return kept_of(route, route.function(call, **arguments))


def _body_decoder(route: Route) -> Callable[[bytes], Any]:
    if route.body is None or route.body is bytes:
        return bytes
    return msgspec.json.Decoder(route.body, strict=True).decode


def _decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise Refused(422, f"the body does not fit: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from None
    except RecursionError:
        raise Refused(400, "the body is nested too deep") from None


def _named(kind: type | None, names: dict[str, str], status: int) -> dict[str, Any]:
    if kind is None:
        return {}
    try:
        return msgspec.structs.asdict(msgspec.convert(names, kind, strict=False))
    except msgspec.ValidationError as error:
        # A name that none can have is a name that none has.
        raise Refused(status, f"nothing is here by that name: {error}") from None


def _queried(route: Route, query: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict") if query else []
    except (ValueError, UnicodeDecodeError):
        raise Refused(400, "the query cannot be read", hint="name=value pairs joined by &, percent-encoded") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in route.lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Refused(422, f"{name[:100]!r} is there more than once")
        else:
            found[name] = value
    if route.query_type is None:
        if found:
            raise Refused(422, f"there is no query parameter {next(iter(found))[:100]!r} here")
        return {}
    try:
        return msgspec.structs.asdict(msgspec.convert(found, route.query_type, strict=False))
    except msgspec.ValidationError as error:
        raise Refused(422, f"the query does not fit: {error}") from None


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        if key == "cookie" and key in found:
            found[key] += f"; {text}"
        else:
            found.setdefault(key, text)
    return found


def _incoming(scope: MutableMapping[str, Any], raw: bytes, headers: dict[str, str], route: Route | None) -> Incoming:
    client = scope.get("client")
    return Incoming(
        method=scope["method"],
        path=raw[:_PATH_LIMIT].decode("latin-1"),
        query=scope.get("query_string", b"")[:_QUERY_LIMIT].decode("latin-1"),
        headers=headers,
        address=client[0] if client else "",
        permission=route.permission if route is not None else "public",
        route=route.key if route is not None else "",
        https=scope.get("scheme") == "https",
    )


def _oversized(raw: bytes, scope: MutableMapping[str, Any]) -> Refused | None:
    if len(raw) > _PATH_LIMIT:
        return Refused(400, f"a path has at most {_PATH_LIMIT} bytes")
    if len(scope.get("query_string", b"")) > _QUERY_LIMIT:
        return Refused(400, f"a query has at most {_QUERY_LIMIT} bytes")
    return None
