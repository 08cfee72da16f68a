"""Is something true of the world? Files, objects, HTTP answers, rows of a query, a user's function.

One evaluation for sensors and for wait-steps (`pt.wait_for`). Options are plain data; the functions among them are named:

    file      path (a glob), at_least (1), settle_s (0)
    object    url (with a glob), at_least, settle_s, options (of fsspec)
    http      url, method ("GET"), headers ("Bearer {secret:NAME}"), body, status ([200]), json ({"job.state": "done"}), contains, when (a call)
    sql       query, params, connect ("sqlite:///x.db", a resource) or connect_call; met when the first column of the first row is true
    function  the call with its arguments: met when it returns something that is true

Rule: each kind answers with why; a server that cannot be reached is a condition that is not met, a wrong query is an error.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from partita.core.plain import NotPlain, pack, unpack
from partita.define.sensor import SECRET_IN_TEXT
from partita.errors import WorldError
from partita.worker.answering import Functions, called
from partita.worker.arrivals import files, objects, settled
from partita.worker.questions import ConditionMet, EvaluateCondition

_MOST_BODY = 1 << 20
_HTTP_TIMEOUT_S = 30.0


async def evaluate(request: EvaluateCondition, functions: Functions) -> ConditionMet:
    """Evaluate a condition. Raises what user code raises, `WorldError` for a condition that cannot be evaluated."""
    kind = _KINDS.get(request.of)
    if kind is None:
        raise WorldError(f"there is no condition {request.of!r}", hint=f"there are {', '.join(_KINDS)}")
    return await kind(request, unpack(request.options) if request.options else {}, functions)


async def _file(request: EvaluateCondition, options: dict[str, Any], functions: Functions) -> ConditionMet:
    return _arrived(request, options, files(options["path"]), options["path"])


async def _object(request: EvaluateCondition, options: dict[str, Any], functions: Functions) -> ConditionMet:
    return _arrived(request, options, objects(options["url"], options.get("options") or {}), options["url"])


def _arrived(request: EvaluateCondition, options: dict[str, Any], found: list[Any], what: str) -> ConditionMet:
    waiting = unpack(request.memory) if request.memory else None
    settling = settled(found, waiting, float(options.get("settle_s", 0.0)), request.at)
    wanted = int(options.get("at_least", 1))
    paths = [one.path for one in settling.there]
    memory = pack(settling.waiting)
    if len(paths) >= wanted:
        return ConditionMet(True, f"{paths[0]} is there" if paths else "", pack(paths[:1000]), memory)
    if settling.waiting:
        return ConditionMet(False, f"{len(settling.waiting)} files of {what} are still being written", memory=memory)
    return ConditionMet(False, f"{len(paths)} of {wanted} files match {what}", memory=memory)


async def _function(request: EvaluateCondition, options: dict[str, Any], functions: Functions) -> ConditionMet:
    call = functions.find(request.call)
    result = await called(call.function, **(unpack(request.args) if request.args else options))
    try:
        value = pack(result)
    except NotPlain:
        value = pack(bool(result))
    return ConditionMet(bool(result), f"{call.name.rpartition(':')[2]} returned {result!r:.200}", value)


# --- HTTP -----------------------------------------------------------------------------------------------------------


class Response(NamedTuple):
    """What a server answered; `json` is None if the body is none."""

    status: int
    headers: dict[str, str]
    body: bytes
    json: Any


def fetch(options: dict[str, Any]) -> Response | str:
    """Ask a server; a text says why it could not be asked. Raises `WorldError` for what is no address of one."""
    url = str(options["url"])
    if urlsplit(url).scheme not in ("http", "https"):
        raise WorldError(f"{url!r} is no http or https address")
    body = options.get("body")
    data = body.encode() if isinstance(body, str) else body
    try:
        request = urllib.request.Request(
            url, data=data, headers=_headers(options), method=options.get("method") or "GET"
        )
        with _opened(request) as response:
            found = response.read(_MOST_BODY + 1)
            status, headers = int(response.status), {k.lower(): v for k, v in response.headers.items()}
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        return f"{url} cannot be reached: {reason}"
    except ValueError as error:
        raise WorldError(f"{url!r} cannot be asked: {error}") from error
    if len(found) > _MOST_BODY:
        raise WorldError(f"{url} answered with more than 1 MiB")
    return Response(status, headers, found, _json_of(found))


def _headers(options: dict[str, Any]) -> dict[str, str]:
    """The headers to send, with the values of the secrets that they name: "Bearer {secret:TOKEN}"."""
    from partita.define.secret import resolve

    given: dict[str, str] = options.get("headers") or {}
    return {name: SECRET_IN_TEXT.sub(lambda match: resolve(match[1]), value) for name, value in given.items()}


@contextlib.contextmanager
def _opened(request: urllib.request.Request) -> Iterator[Any]:
    try:
        response = urllib.request.urlopen(request, timeout=_HTTP_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        response = error  # an answer as well
    with response:
        yield response


def _json_of(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def _http(request: EvaluateCondition, options: dict[str, Any], functions: Functions) -> ConditionMet:
    response = fetch(options)
    if isinstance(response, str):
        return ConditionMet(False, response)
    reason = await http_reason(response, options, functions)
    value = {"status": response.status, "json": response.json}
    return ConditionMet(not reason, reason or f"{options['url']} answered {response.status}", pack(value))


async def http_reason(response: Response, options: dict[str, Any], functions: Functions) -> str:
    """Why an answer is not the one that is waited for; "" if it is."""
    wanted = options.get("status", 200)
    statuses = wanted if isinstance(wanted, list | tuple) else [wanted]
    if response.status not in statuses:
        return f"{options['url']} answered {response.status}, not {' or '.join(map(str, statuses))}"
    if (text := options.get("contains")) and str(text).encode() not in response.body:
        return f"the answer does not contain {text!r}"
    for path, value in (options.get("json") or {}).items():
        found = at_path(response.json, path)
        if found != value:
            return f"{path} is {found!r:.100}, not {value!r:.100}"
    if call := options.get("when"):
        given = response.json if response.json is not None else response.body.decode(errors="replace")
        if not await called(functions.find(call).function, given):
            return f"{call.rpartition(':')[2]} says no"
    return ""


def at_path(value: Any, path: str) -> Any:
    """What stands at "job.steps.0.state"; None if nothing does.

    >>> at_path({"job": {"steps": [{"state": "done"}]}}, "job.steps.0.state")
    'done'
    """
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


# --- SQL ------------------------------------------------------------------------------------------------------------


async def _sql(request: EvaluateCondition, options: dict[str, Any], functions: Functions) -> ConditionMet:
    rows = await query(options, options.get("params") or {}, functions, limit=1)
    if not rows:
        return ConditionMet(False, "the query gives no row")
    row = rows[0]
    first = next(iter(row.values()), None)
    return ConditionMet(bool(first), f"the query gives {first!r:.200}", pack(plain_row(row)))


async def query(options: dict[str, Any], params: dict[str, Any], functions: Functions, *, limit: int) -> list[Any]:
    """The first rows of a query, as dicts by column."""
    connection = await _connected(options, functions)
    with contextlib.closing(connection):
        cursor = connection.cursor()
        text = str(options["query"])
        if not params:
            cursor.execute(text)
        elif any(f":{name}" in text or f"%({name})s" in text for name in params):
            cursor.execute(text, params)
        else:
            cursor.execute(text, tuple(params.values())) if "?" in text or "%s" in text else cursor.execute(text)
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(limit)] if names else []
        cursor.close()
        return rows


async def _connected(options: dict[str, Any], functions: Functions) -> Any:
    if call := options.get("connect_call"):
        return await called(functions.find(call).function)
    url = str(options.get("connect", ""))
    if "://" not in url:
        from partita.define.injecting import resource_named

        resource = resource_named(url)
        return resource.connect() if hasattr(resource, "connect") else resource
    if not url.startswith("sqlite:///"):
        raise WorldError(
            f"{url!r} is no database that can be opened by its address",
            hint='give connect="sqlite:///file.db", the name of a resource, or a function that returns a connection',
        )
    import sqlite3

    # Read-only: a condition looks, and does not make an empty database of a typing mistake.
    try:
        return sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=10.0)
    except sqlite3.OperationalError as error:
        raise WorldError(f"{url} cannot be opened: {error}") from None


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row as plain data: what is none becomes its text."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    try:
        pack(value)
    except NotPlain:
        return str(value)
    return value


_KINDS: dict[str, Callable[[EvaluateCondition, dict[str, Any], Functions], Coroutine[Any, Any, ConditionMet]]] = {
    "file": _file,
    "object": _object,
    "http": _http,
    "sql": _sql,
    "function": _function,
}
