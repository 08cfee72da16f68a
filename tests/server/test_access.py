"""The guard: who is let in, and who only looks as if they were to be."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest

from partita.core.permissions import GRANTABLE, ROLES, Principal, granted
from partita.engine.access import (
    Done,
    Entry,
    ExchangeLink,
    IssueToken,
    Note,
    OpenSession,
    RevokeToken,
    SetUser,
    carried,
)
from partita.errors import DefinitionError
from partita.server.access import require
from partita.server.bearers import digest_of, local_token, new_link, new_session
from partita.server.passwords import hash_password, verify
from partita.server.policy import Policy, must_refuse, read_policy
from partita.server.problems import Refused
from partita.server.sessions import cookie_name, set_cookie
from partita.server.throttle import Throttle
from partita.settings import Home
from partita.store import access

from .desk import HOST, Desk, incoming


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def status_of(desk: Desk, **request: object) -> int:
    """0 for who is let in, else the status of the refusal."""
    try:
        desk.guard.admit(incoming(**request))  # type: ignore[arg-type]
    except Refused as refused:
        return refused.status
    return 0


# --- the name that a request is sent to ---------------------------------------------------------------------------

REBOUND = [
    "evil.example",
    "evil.example:4400",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost.",
    "127.0.0.1:4400@evil.example",
    "127.0.0.1 evil.example",
    "0.0.0.0:4400",
    "[::1",
    "[::1].evil.example",
    "127.0.0.1:port",
    "127.0.0.1:",
    "2130706433",
    "0x7f.1",
    "127.1",
    "",
    "localhost\tx",
    "169.254.169.254",
    "[::ffff:127.0.0.1]",
]


@pytest.mark.parametrize("host", REBOUND)
@pytest.mark.parametrize("permission", ["view", "public", "signed", ""])
def test_a_request_for_another_name_is_refused_whatever_it_shows(desk: Desk, host: str, permission: str) -> None:
    token = local_token(desk.home.token)
    assert status_of(desk, host=host, token=token, permission=permission) == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:4400", "LOCALHOST:1", "[::1]:4400", HOST])
def test_a_request_for_this_machine_is_let_through(desk: Desk, host: str) -> None:
    assert status_of(desk, host=host, token=local_token(desk.home.token)) == 0


# --- the page that it comes from ----------------------------------------------------------------------------------

HOSTILE = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://127.0.0.1:3000"},
    {"origin": "http://localhost:4400"},
    {"origin": "https://127.0.0.1:4400"},
    {"origin": f"http://{HOST}.evil.example"},
    {"origin": f"http://{HOST}", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "something-new"},
    {"sec-fetch-site": "same-site", "origin": f"http://{HOST}"},
    {"sec-fetch-site": "same-origin, cross-site"},
]


@pytest.mark.parametrize("headers", HOSTILE)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_page_of_another_origin_gets_nothing_with_our_cookie(
    desk: Desk, headers: dict[str, str], method: str
) -> None:
    desk.user("ann", ("*", "admin"))
    cookie = desk.session("ann").text
    request = {"cookie": cookie, "headers": {"sec-fetch-site": "", **headers}, "method": method}
    request["headers"] = {k: v for k, v in request["headers"].items() if v or k == "origin"}  # type: ignore[attr-defined]
    assert status_of(desk, **request) == 403


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_change_that_does_not_say_where_it_comes_from_needs_a_token(desk: Desk, method: str) -> None:
    desk.user("ann", ("*", "admin"))
    found = incoming(method, cookie=desk.session("ann").text)
    bare = {k: v for k, v in found.headers.items() if k != "sec-fetch-site"}
    with pytest.raises(Refused) as refused:
        desk.guard.admit(type(found)(method, "/x", "", bare, "127.0.0.1", "view"))
    assert refused.value.status == 403
    assert status_of(desk, method=method, token=local_token(desk.home.token)) == 0


def test_an_address_that_was_typed_may_look_and_not_change(desk: Desk) -> None:
    desk.user("ann", ("*", "admin"))
    cookie, typed = desk.session("ann").text, {"sec-fetch-site": "none"}
    assert status_of(desk, cookie=cookie, headers=typed) == 0
    assert status_of(desk, cookie=cookie, headers=typed, method="POST") == 403


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonp"],
)
def test_a_body_must_be_json(desk: Desk, kind: str) -> None:
    headers = {"content-type": kind, "content-length": "2"}
    token = local_token(desk.home.token)
    assert status_of(desk, method="POST", token=token, headers=headers) == 415
    headers["content-type"] = "application/json; charset=utf-8"
    assert status_of(desk, method="POST", token=token, headers=headers) == 0


def test_what_a_sender_has_signed_may_be_any_body_and_is_no_principal_of_ours(desk: Desk) -> None:
    headers = {"content-type": "text/plain", "content-length": "2"}
    principal = desk.guard.admit(incoming("POST", permission="signed", headers=headers))
    assert principal.kind == "trigger"
    assert not any(principal.may(permission, "default") for permission in GRANTABLE)


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    ["Bearer", "Bearer ", "Bearer nothing", "Basic YTpi", "nothing", "Bearer  ", "bearer x y", "", "Bearer \udcff"],
)
def test_what_is_no_token_is_refused_even_beside_a_cookie_that_holds(desk: Desk, shown: str) -> None:
    desk.user("ann", ("*", "admin"))
    cookie = desk.session("ann").text
    assert status_of(desk, cookie=cookie, headers={"authorization": shown}) == 401


def test_a_token_may_what_its_scopes_say_and_no_more(desk: Desk) -> None:
    token = desk.token(("sales", "operate"), ("*", "report"))
    principal = desk.guard.admit(incoming(token=token.text, permission="operate"))
    assert principal.may("operate", "sales")
    assert principal.may("report", "anything")
    assert not principal.may("operate", "default")
    assert not principal.may("view", "sales")
    assert status_of(desk, token=token.text, permission="admin") == 403


def test_a_token_may_no_more_than_its_owner_may_now(desk: Desk) -> None:
    desk.user("ann", ("sales", "operator"))
    token = desk.token(("*", "admin"), owner="ann")
    principal = desk.guard.admit(incoming(token=token.text, permission="operate"))
    assert principal.may("operate", "sales")
    assert not principal.may("operate", "default")
    assert not principal.may("admin", "sales")
    assert principal.namespaces("view") == {"sales"}
    desk.ask(SetUser("ann", "admin", roles=(("sales", "viewer"),)))
    assert not desk.guard.admit(incoming(token=token.text, permission="view")).may("operate", "sales")
    desk.ask(SetUser("ann", "admin", active=False))
    assert status_of(desk, token=token.text) == 401


def test_a_token_that_was_revoked_or_has_expired_holds_no_more_at_the_next_request(desk: Desk) -> None:
    revoked, expiring = desk.token(("*", "viewer")), desk.token(("*", "viewer"), days=1)
    assert status_of(desk, token=revoked.text) == 0
    desk.ask(RevokeToken(revoked.id, "ann"))
    assert status_of(desk, token=revoked.text) == 401
    assert status_of(desk, token=expiring.text) == 0
    desk.clock.at += 86_400
    assert status_of(desk, token=expiring.text) == 401


def test_a_session_or_link_is_no_token_and_a_token_is_no_session(desk: Desk) -> None:
    desk.user("ann", ("*", "viewer"))
    link, token = new_link(desk.clock.at), desk.token(("*", "viewer"))
    desk.ask(IssueToken(link.id, link.digest, "", "link", (("*", "admin"),), "x", desk.clock.at + 60, "link"))
    assert status_of(desk, token=desk.session("ann").text) == 401
    assert status_of(desk, token=link.text) == 401
    assert status_of(desk, cookie=link.text) == 401
    assert status_of(desk, cookie=token.text) == 401


def test_only_its_owner_can_read_the_token_of_the_machines_user(tmp_path: Path) -> None:
    path = tmp_path / "home" / "token"
    token = local_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert local_token(path) == token
    assert len(token) >= 43
    path.write_text("short")
    assert len(local_token(path)) >= 43


def test_nothing_that_is_shown_is_stored(desk: Desk) -> None:
    desk.user("ann", ("*", "viewer"), password="$argon2id$...")
    shown = [desk.token(("*", "viewer")).text, desk.session("ann").text]
    dump = repr([desk.store._db.fetch(f"SELECT * FROM {t}") for t in ("tokens", "users", "audit", "journal")])
    assert not any(text in dump or text.encode().hex() in dump for text in shown)


# --- sessions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"password": "another"},
        {"roles": (("*", "viewer"),)},
        {"active": False},
    ],
)
def test_all_sessions_end_with_the_rights_or_the_password_of_their_user(desk: Desk, change: dict[str, object]) -> None:
    desk.user("ann", ("*", "operator"))
    cookies = [desk.session("ann").text for _ in range(3)]
    assert [status_of(desk, cookie=c) for c in cookies] == [0, 0, 0]
    desk.ask(SetUser("ann", "admin", **change))  # type: ignore[arg-type]
    assert [status_of(desk, cookie=c) for c in cookies] == [401, 401, 401]


def test_a_change_of_the_address_ends_no_session(desk: Desk) -> None:
    desk.user("ann", ("*", "operator"))
    cookie = desk.session("ann").text
    desk.ask(SetUser("ann", "admin", email="ann@example.com"))
    assert status_of(desk, cookie=cookie) == 0


def test_a_session_is_not_begun_for_whom_was_changed_while_their_password_was_checked(desk: Desk) -> None:
    desk.user("ann", ("*", "operator"))
    desk.ask(SetUser("ann", "admin", active=False))
    desk.ask(SetUser("ann", "admin", active=True))
    session = new_session(0.0)
    with pytest.raises(DefinitionError, match="changed a moment ago"):
        desk.ask(OpenSession(session.id, session.digest, "ann", 1, desk.clock.at + 60))


def test_bits_that_a_browser_brings_along_become_no_session(desk: Desk) -> None:
    desk.user("ann", ("*", "operator"))
    brought = "A" * 43
    begun = desk.session("ann").text
    assert begun != brought
    assert status_of(desk, cookie=brought) == 401
    # Two cookies of one name: whoever put the other one there is not to win.
    name = cookie_name(secure=False, host=HOST)
    both = {"cookie": f"{name}={brought}; {name}={begun}", "sec-fetch-site": "same-origin"}
    assert status_of(desk, headers=both) == 401


def test_a_cookie_is_for_no_script_and_no_other_site() -> None:
    assert cookie_name(secure=True, host="x") == "__Host-partita"
    text = set_cookie("__Host-partita", "x", secure=True, max_age_s=60)
    assert text == "__Host-partita=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"


def test_a_link_signs_in_once_and_not_for_long(desk: Desk) -> None:
    def made() -> str:
        link = new_link(desk.clock.at)
        desk.ask(IssueToken(link.id, link.digest, "", "link", (("*", "admin"),), "x", desk.clock.at + 900, "link"))
        return link.text

    def exchange(text: str) -> str:
        session = new_session(desk.clock.at)
        desk.ask(ExchangeLink(digest_of(text), session.id, session.digest, desk.clock.at + 60))
        return session.text

    link = made()
    cookie = exchange(link)
    assert desk.guard.admit(incoming(cookie=cookie, permission="admin")).kind == "local"
    with pytest.raises(DefinitionError, match="used, has expired"):
        exchange(link)
    late = made()
    desk.clock.at += 900
    with pytest.raises(DefinitionError, match="used, has expired"):
        exchange(late)
    with pytest.raises(DefinitionError):
        exchange(desk.token(("*", "admin")).text)


def test_two_who_use_a_link_in_the_same_commit_are_one_session(desk: Desk) -> None:
    link = new_link(0.0)
    desk.ask(IssueToken(link.id, link.digest, "", "link", (("*", "admin"),), "x", desk.clock.at + 900, "link"))
    first, second = new_session(1.0), new_session(2.0)
    handler = desk.part.handlers()[ExchangeLink]
    handler(ExchangeLink(link.digest, first.id, first.digest, desk.clock.at + 60))
    with pytest.raises(DefinitionError):
        handler(ExchangeLink(link.digest, second.id, second.digest, desk.clock.at + 60))
    desk.commit()
    assert [t.id for t in access.tokens(desk.store, of="session")] == [first.id]


# --- rights -------------------------------------------------------------------------------------------------------


def test_nobody_has_a_permission_to_read_secrets() -> None:
    assert not any("secret.read" in permissions for permissions in ROLES.values())
    assert "secret.read" not in GRANTABLE
    assert ROLES["viewer"] < ROLES["operator"] < ROLES["author"] < ROLES["admin"]
    assert ROLES["admin"] == GRANTABLE
    assert "log.read" not in ROLES["viewer"]
    assert "secret.use" not in ROLES["operator"]


def test_what_one_may_not_see_is_not_there() -> None:
    viewer = Principal("ann", "user", (("sales", "viewer"),))
    require(viewer, "view", "sales", "run", "r1")
    with pytest.raises(Refused) as unseen:
        require(viewer, "operate", "default", "run", "r1")
    with pytest.raises(Refused) as seen:
        require(viewer, "operate", "sales", "run", "r1")
    assert (unseen.value.status, seen.value.status) == (404, 403)


def test_principals_see_and_do_what_a_model_of_their_grants_allows(desk: Desk) -> None:
    """Tenancy: a seeded walk of changing rights and questions, against sets of what is allowed."""
    rng = random.Random(7)
    places = ["a", "b", "c"]
    names = [f"u{n}" for n in range(6)]
    model: dict[str, set[tuple[str, str]]] = {}
    cookies: dict[str, str] = {}
    asked = 0
    for name in names:
        desk.user(name, ("a", "viewer"))
        model[name] = {("a", "viewer")}
        cookies[name] = desk.session(name).text
    for _ in range(3_000):
        name = rng.choice(names)
        if rng.random() < 0.03:
            grants = {(rng.choice([*places, "*"]), rng.choice([*ROLES, "log.read"])) for _ in range(rng.randint(0, 3))}
            changed = desk.ask(SetUser(name, "admin", roles=tuple(sorted(grants)))).changed
            assert status_of(desk, cookie=cookies[name], permission="signed_in") == (401 if changed else 0)
            model[name] = grants
            cookies[name] = desk.session(name).text
            continue
        permission, place = rng.choice(sorted(GRANTABLE)), rng.choice(places)
        allowed = {p for where, what in model[name] if where in ("*", place) for p in ROLES.get(what, {what})}
        status = status_of(desk, cookie=cookies[name], permission=permission)
        if status:
            assert (status, permission in allowed) == (403, False)
            continue
        principal = desk.guard.admit(incoming(cookie=cookies[name], permission=permission))
        assert desk.guard.may(principal, permission, place) == (permission in allowed)
        seen = principal.namespaces(permission)
        assert seen is None or (place in seen) == (permission in allowed)
        asked += 1
    assert asked > 800


def test_a_scope_never_adds_to_what_an_owner_may() -> None:
    rng = random.Random(11)
    for _ in range(2_000):
        scopes = tuple((rng.choice(["a", "b", "*"]), rng.choice([*ROLES, *GRANTABLE])) for _ in range(2))
        bounds = tuple((rng.choice(["a", "b", "*"]), rng.choice([*ROLES, *GRANTABLE])) for _ in range(2))
        token = Principal("t", "token", scopes, bounds)
        for permission in GRANTABLE:
            for place in ("a", "b", "c"):
                both = granted(scopes, permission, place) and granted(bounds, permission, place)
                seen = token.namespaces(permission)
                assert token.may(permission, place) == both
                assert (seen is None or place in seen) == both


# --- the audit ----------------------------------------------------------------------------------------------------


def test_each_change_and_each_denied_request_has_one_entry(desk: Desk) -> None:
    desk.user("ann", ("*", "viewer"))
    before = len(access.audit_entries(desk.store, limit=500))
    request = incoming("POST", cookie=desk.session("ann").text, permission="operate")
    with pytest.raises(Refused):
        desk.guard.admit(request)
    before = len(access.audit_entries(desk.store, limit=500))
    desk.guard.answered(request, None, 403)
    desk.guard.answered(incoming("GET"), None, 401)
    desk.guard.answered(incoming("GET"), None, 200)
    desk.guard.answered(incoming("POST"), None, 201, object="run:1", namespace="sales")
    desk.guard.answered(incoming("POST"), None, 200, audited=True)
    rows = access.audit_entries(desk.store, limit=500)
    assert [r.result for r in rows[: len(rows) - before]] == ["done: 201", "denied: 401", "denied: 403"]
    assert list(access.broken_links(desk.store)) == []


def test_a_request_and_its_entry_are_one_commit_and_one_that_fails_has_its_entry_too(desk: Desk) -> None:
    entry = Entry("ann", "users.set", "user:bob", "*")
    end = desk.store.end_of_stream()
    desk.ask(carried(SetUser("bob", "ann", "hash", (("*", "viewer"),)), entry), Done)
    assert desk.store.end_of_stream() == end + 1
    with pytest.raises(DefinitionError):
        desk.ask(carried(SetUser("bob", "ann", "hash", must_be_new=True), entry), Done)
    results = [row.result for row in access.audit_entries(desk.store)]
    assert results[1] == "done"
    assert results[0].startswith("refused: there is a user 'bob' already")


def test_an_address_that_is_denied_again_and_again_has_to_wait_and_fills_nothing(desk: Desk) -> None:
    for _ in range(400):
        status = status_of(desk, token="nothing")
        desk.guard.answered(incoming(token="nothing"), None, status)
    assert status_of(desk, token="nothing") == 429
    assert len(access.audit_entries(desk.store, limit=500)) <= 301
    # Whoever else is at that address has nothing to do with it.
    assert status_of(desk, token=local_token(desk.home.token)) == 0
    desk.clock.at += 60
    assert status_of(desk, token="nothing") == 401


def test_what_expired_long_ago_is_swept(desk: Desk) -> None:
    gone, kept = desk.token(("*", "viewer"), days=1), desk.token(("*", "viewer"), days=30)
    desk.clock.at += 3 * 86_400
    desk.part.turn(desk.clock.at)
    desk.commit()
    assert access.token(desk.store, gone.id) is None
    assert access.token(desk.store, kept.id) is not None
    staged = len(desk.staged)
    desk.part.turn(desk.clock.at)
    assert len(desk.staged) == staged


# --- passwords, tries, settings -----------------------------------------------------------------------------------


def test_a_password_is_checked_by_argon2id() -> None:
    stored = hash_password("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify("correct horse battery", stored)
    assert not verify("correct horse batterz", stored)
    assert not verify("", "")
    assert not verify("x", "nonsense")
    assert stored != hash_password("correct horse battery")
    with pytest.raises(DefinitionError, match="10 characters"):
        hash_password("short")


def test_who_tries_too_often_waits_and_may_try_again_later() -> None:
    throttle = Throttle(3, 10.0)
    for _ in range(3):
        assert throttle.wait_s("ann", 0.0) == 0.0
        throttle.take("ann", 0.0)
    assert throttle.wait_s("ann", 0.0) == 10.0
    assert throttle.wait_s("bob", 0.0) == 0.0
    assert throttle.wait_s("ann", 10.0) == 0.0
    for n in range(30_000):
        throttle.take(f"k{n}", 0.0)
    assert len(throttle._full_at) <= 10_000


@pytest.mark.parametrize(
    ("host", "policy", "refused"),
    [
        ("127.0.0.1", Policy(), False),
        ("localhost", Policy(), False),
        ("::1", Policy(), False),
        ("0.0.0.0", Policy(), True),
        ("192.168.1.7", Policy(), True),
        ("example.com", Policy(), True),
        ("0.0.0.0", Policy(auth="password"), True),
        ("0.0.0.0", Policy(auth="password", hosts=("box",)), False),
        ("192.168.1.7", Policy(auth="password"), False),
    ],
)
def test_a_server_that_others_reach_needs_people_to_sign_in(host: str, policy: Policy, refused: bool) -> None:
    assert bool(must_refuse(host, policy)) == refused


def test_the_policy_is_read_from_the_project_and_the_environment(tmp_path: Path) -> None:
    home = Home(tmp_path / ".partita")
    assert read_policy(home, {}) == Policy()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.partita.server]\nauth = "oidc"\npublic_url = "https://p.example"\n'
        '[tool.partita.server.oidc]\nissuer = "https://id.example"\nclient_id = "p"\nclient_secret = "env:S"\n'
        'hosted_domain = "example.com"\nroles = { data = ["operator", "sales:admin"] }\n'
    )
    policy = read_policy(home, {"S": "hidden"})
    assert policy.provider is not None
    assert policy.provider.client_secret == "hidden"
    assert "hidden" not in repr(policy)
    assert policy.provider.roles == {"data": (("*", "operator"), ("sales", "admin"))}
    assert policy.names("0.0.0.0") == {"localhost", "127.0.0.1", "[::1]", "p.example"}
    assert read_policy(home, {"PARTITA_AUTH": "password"}).auth == "password"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('auth = "none"', "auth is local, password, oidc"),
        ('auht = "local"', "there is no `auht`"),
        ('auth = "oidc"', "needs a table"),
        ('auth = "oidc"\n[tool.partita.server.oidc]\nissuer = "http://id.example"\nclient_id = "x"', "https"),
        ('public_url = "ftp://x"', "public_url is an address"),
        ("session_hours = 0", "session_hours"),
        ("hosts = 7", "hosts is a list"),
        (
            'auth = "oidc"\n[tool.partita.server.oidc]\nissuer = "https://i"\nclient_id = "x"\nclient_secret = "plain"',
            "env:NAME",
        ),
    ],
)
def test_what_is_wrong_with_the_policy_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.partita.server]\n{text}\n")
    with pytest.raises(DefinitionError, match=says):
        read_policy(Home(tmp_path / ".partita"), {})


def test_the_note_of_nobody_in_particular_is_of_anonymous(desk: Desk) -> None:
    desk.ask(Note(desk.guard.entry(incoming("POST"), None), "denied: 401"))
    assert access.audit_entries(desk.store)[0].principal == "anonymous"
