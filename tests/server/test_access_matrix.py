"""Every route x every principal, out of the registry: a new route is covered when it is declared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from partita.core.permissions import PERMISSIONS, granted
from partita.engine.access import RevokeToken, SetUser
from partita.server.app import App, build_app
from partita.server.bearers import local_token
from partita.server.guarding import Incoming
from partita.server.problems import Refused
from partita.server.routing import Route, declared
from partita.settings import Settings
from partita.store.sqlite import open_store

from .desk import HOST, Desk

ROLE_OF = {"viewer": "viewer", "operator": "operator", "author": "author", "admin": "admin", "elsewhere": "admin"}
NOBODY = ("anonymous", "expired", "revoked", "malformed", "closed")
PRINCIPALS = (*NOBODY, *ROLE_OF, "reporter", "machine")


def routes() -> list[Route]:
    from partita.server import routes as nouns

    nouns.declare()
    return declared()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, App, dict[str, dict[str, str]]]]:
    """The application over an empty store, a guard over users, and what each principal shows."""
    folder = tmp_path_factory.mktemp("matrix")
    desk = Desk(folder)
    open_store(desk.home.db).close()
    app = build_app(Settings(project=folder, home=desk.home), desk.guard)
    shown: dict[str, str] = {"anonymous": "", "malformed": "nothing", "machine": local_token(desk.home.token)}
    for name, role in ROLE_OF.items():
        desk.user(name, ("other" if name == "elsewhere" else "*", role))
        shown[name] = desk.token(("*", "admin"), owner=name).text
    shown["reporter"] = desk.token(("default", "report")).text
    revoked = desk.token(("*", "admin"))
    desk.ask(RevokeToken(revoked.id, "x"))
    desk.user("gone", ("*", "admin"))
    closed = desk.token(("*", "admin"), owner="gone")
    desk.ask(SetUser("gone", "x", active=False))
    shown |= {"revoked": revoked.text, "expired": desk.token(("*", "admin"), days=-1).text, "closed": closed.text}
    yield desk, app, {name: {"authorization": f"Bearer {text}"} if text else {} for name, text in shown.items()}
    asyncio.run(app.close())


def expected(principal: str, permission: str) -> set[int]:
    """With which statuses the guard may refuse; empty = it lets the request through."""
    if permission in ("public", "signed"):
        return set()
    if principal in NOBODY:
        return {401}
    if permission == "signed_in" or principal == "machine":
        return set()
    role = {"reporter": "report"}.get(principal) or ROLE_OF[principal]
    return set() if granted((("*", role),), permission, "default") else {403}


async def answer(app: App, method: str, path: str, headers: dict[str, str]) -> int:
    """The status of an answer; a stream is left when it has begun."""
    status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": b"{}" if method != "GET" else b"", "more_body": False}
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and not status.done():
            status.set_result(message["status"])

    body = {"content-type": "application/json", "content-length": "2"} if method != "GET" else {}
    raw = [(k.encode(), v.encode()) for k, v in {"host": HOST, **body, **headers}.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "http_version": "1.1",
    }
    task = asyncio.create_task(app(scope, receive, send))
    try:
        return await asyncio.wait_for(asyncio.shield(status), 10)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def path_of(route: Route) -> str:
    return "/" + "/".join("1" if s.startswith("{") else s for s in route.segments)


def test_every_route_declares_a_permission_that_there_is() -> None:
    found = routes()
    assert len(found) > 30
    assert {r.permission for r in found} <= PERMISSIONS.keys()
    # What anybody may ask for, by name: a new one is added here on purpose.
    assert {r.key for r in found if r.permission == "public"} <= {
        "GET /healthz",
        "GET /api/v1/openapi.json",
        "GET /api/v1/session/ways",
        "POST /api/v1/session",
        "GET /api/v1/session/oidc",
        "GET /api/v1/session/oidc/callback",
    }


def test_each_change_needs_more_than_to_look() -> None:
    # Questions whose words do not fit into an address.
    questions = {"POST /api/v1/backfills/plan"}
    for route in routes():
        if route.method != "GET" and route.key not in questions:
            assert route.permission not in ("view", "log.read", "audit.read"), route.key


def test_the_guard_answers_each_route_and_principal_as_declared(
    world: tuple[Desk, App, dict[str, dict[str, str]]],
) -> None:
    desk, _, shown = world
    cells = 0
    for route in routes():
        for principal in PRINCIPALS:
            desk.guard._denials.forget("127.0.0.1")
            headers = {"host": HOST, **shown[principal]}
            if route.method != "GET":
                headers |= {"content-type": "application/json", "content-length": "2"}
                headers |= {} if shown[principal] else {"origin": f"http://{HOST}"}
            request = Incoming(route.method, path_of(route), "", headers, "127.0.0.1", route.permission, route.key)
            wanted = expected(principal, route.permission)
            try:
                desk.guard.admit(request)
                status = 0
            except Refused as refused:
                status = refused.status
            assert status in (wanted or {0}), (route.key, principal, status)
            cells += 1
    assert cells == len(routes()) * len(PRINCIPALS)


def test_whom_the_guard_refuses_no_route_answers(world: tuple[Desk, App, dict[str, dict[str, str]]]) -> None:
    """Through the whole application: the routes, and paths that try to look like another one."""
    desk, app, shown = world

    async def ask_all() -> int:
        count = 0
        for route in routes():
            if expected("anonymous", route.permission) == set():
                continue
            path = path_of(route)
            disguises = (f"{path}/health", f"{path}/", f"/{path}", f"{path}%2f..%2fhealthz", path.upper())
            # Each denial is a row in the audit: on a slow disk three times as many would take minutes.
            for principal, paths in (("anonymous", (path, *disguises)), ("malformed", (path,)), ("revoked", (path,))):
                for asked in paths:
                    headers = dict(shown[principal])
                    if not headers:
                        headers["origin"] = f"http://{HOST}"
                    status = await answer(app, route.method, asked, headers)
                    desk.guard._denials.forget("127.0.0.1")
                    assert status in ((401,) if asked == path else (401, 403, 404, 405, 400)), (
                        route.key,
                        asked,
                        status,
                    )
                    count += 1
        return count

    assert asyncio.run(ask_all()) > 300


def test_whoever_may_is_not_told_to_sign_in(world: tuple[Desk, App, dict[str, dict[str, str]]]) -> None:
    _, app, shown = world

    async def ask_all() -> None:
        for route in routes():
            if "stream" in route.media or route.is_async or route.permission in ("signed", "public"):
                continue
            status = await answer(app, route.method, path_of(route), shown["machine"])
            assert status not in (401, 403, 421, 500), (route.key, status)

    asyncio.run(ask_all())


def test_streams_are_behind_the_same_door(world: tuple[Desk, App, dict[str, dict[str, str]]]) -> None:
    _, app, shown = world
    hostile = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}

    async def ask_all() -> int:
        count = 0
        for route in routes():
            if route.is_async and route.method == "GET" and route.permission not in ("public", "signed"):
                assert await answer(app, "GET", path_of(route), {}) == 401, route.key
                assert await answer(app, "GET", path_of(route), {**shown["admin"], **hostile}) == 403, route.key
                count += 1
        return count

    assert asyncio.run(ask_all()) >= 1
