"""Some hundred (slow: some thousand) requests over HTTP by people with different rights, against a model of what they may."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from partita.core.permissions import Grant, granted, read_grant
from partita.server.routing import Route

from .serving import Part, Serving
from .test_hardening import own_routes, path_of
from .test_runs import V1, ended, started

PEOPLE = {
    "viewer": ["default:viewer"],
    "operator": ["default:operator"],
    "author": ["default:author"],
    "reader of logs": ["default:view", "default:log.read"],
    "reporter": ["default:report"],
    "admin": ["default:admin"],
    "admin elsewhere": ["other:admin"],
    "viewer elsewhere": ["other:viewer"],
    "admin of two others": ["other:admin", "third:admin"],
    "auditor": ["audit.read"],
    "viewer of all": ["viewer"],
}
# What this namespace has; nobody from elsewhere may read one of these words.
MARKS = ("nightly", "narrow", "flights", "delays", "letters", "outside", "orders", "extract", "patient")
# What would disturb the other tests, or everybody's work here; its refusals are asked for all the same.
LEFT_OUT = ("reload", "vacuum", "backup", "tidy", "/limits/", "/test", "/reset", "/pause", "/storage", "/backfills")


class World:
    def __init__(self, serving: Serving) -> None:
        self.web = Part("partita.server.main", "--home", str(serving.home), folder=serving.folder)
        self.address = self.web.wait_for("ready")["address"]
        self.tokens: dict[str, str] = {}
        self.grants: dict[str, tuple[Grant, ...]] = {}
        with serving.client() as api:
            self.run = started(api, {"pipeline": "nightly"})["id"]
            ended(api, self.run)
            for name, scopes in PEOPLE.items():
                made = api.post(f"{V1}/tokens", json={"name": name, "scopes": scopes})
                assert made.status_code == 201, made.text
                self.tokens[name] = made.json()["text"]
                self.grants[name] = tuple(read_grant(scope) for scope in scopes)

    def may(self, who: str, permission: str, namespace: str) -> bool:
        return granted(self.grants[who], permission, namespace)

    def may_somewhere(self, who: str, permission: str) -> bool:
        return any(self.may(who, permission, namespace) for namespace in ("default", "other", "third", "*"))


@pytest.fixture(scope="module")
def world(serving: Serving) -> Iterator[World]:
    world = World(serving)
    yield world
    assert world.web.end() == 0


def asked_routes() -> list[Route]:
    return [
        r
        for r in own_routes()
        if r.permission not in ("public", "signed", "signed_in")
        and not r.path.endswith("/live")
        and r.body is not bytes
    ]


def _walk(world: World, seed: int, steps: int) -> Counter[str]:
    rng = random.Random(seed)
    routes = asked_routes()
    told: Counter[str] = Counter()
    with httpx2.Client(base_url=world.address, timeout=30) as web:
        for number in range(steps):
            who, route = rng.choice(list(PEOPLE)), rng.choice(routes)
            is_let_in = world.may_somewhere(who, route.permission)
            is_allowed = world.may(who, route.permission, "default")
            is_change = route.method != "GET"
            if is_allowed and is_change and any(word in route.path for word in LEFT_OUT):
                continue
            # Who is denied too often has to wait, so only some of what is denied at the door is asked for.
            if not is_let_in and rng.random() > 0.1:
                continue
            path = path_of(route, world.run if rng.random() < 0.8 else "no-such-run")
            answer = _ask(web, world.tokens[who], route, path, world.run)
            where = f"seed {seed}, step {number}: {who} asks {route.key}: {answer.status_code} {answer.text[:300]}"
            assert answer.status_code < 500, where
            assert answer.headers["x-content-type-options"] == "nosniff", where
            if not is_let_in:
                assert answer.status_code in (403, 429), where
                told["denied"] += 1
            elif not is_allowed and route.path.endswith("/bulk"):
                # Each of many is answered for by itself.
                assert {item["status"] for item in answer.json()["items"]} <= {403, 404}, where
                told["kept out"] += 1
            elif not is_allowed and is_change:
                # 422: what is asked for is looked at before the row is; it says nothing of the row.
                assert answer.status_code in (403, 404, 409, 422), where
                told["kept out"] += 1
            else:
                assert answer.status_code != 401, where
                told["done" if answer.status_code < 400 else "not there"] += 1
            if not world.may(who, "view", "default") and not is_allowed:
                _says_nothing_of_others(answer, path, route, where)
                told["silent"] += 1
    return told


def _ask(web: httpx2.Client, token: str, route: Route, path: str, run: str = "") -> httpx2.Response:
    query = {"q": "nightly"} if path.endswith("/search") else {}
    headers = {"Authorization": f"Bearer {token}"}
    example = {**route.body_example, "runs": [run, "13"]} if route.path.endswith("/bulk") else route.body_example
    body = json.dumps(example if example is not None else {}) if route.body is not None else None
    if body is not None:
        headers["Content-Type"] = "application/json"
    return web.request(route.method, path, params=query, headers=headers, content=body)


def _says_nothing_of_others(answer: httpx2.Response, path: str, route: Route, where: str) -> None:
    """Nothing but what they have said themselves."""
    said = path + json.dumps(route.body_example)
    text = answer.text.replace("extract", "") if "extract" in said else answer.text
    for mark in MARKS:
        assert mark in said or mark not in text, where


def test_a_walk_of_some_hundred_requests_finds_nothing_that_it_must_not(world: World) -> None:
    told = _walk(world, seed=1, steps=600)
    assert min(told["done"], told["kept out"], told["silent"]) > 20, told


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 8))
def test_a_walk_of_some_thousand_requests_finds_nothing_that_it_must_not(world: World, seed: int) -> None:
    told = _walk(world, seed=seed, steps=1500)
    print(dict(told))
    assert sum(told.values()) > 1000, told


def _without(text: str, *names: str) -> str:
    for name in names:
        text = text.replace(name, "NAME")
    return text


def test_what_is_there_and_not_theirs_is_answered_like_what_is_not_there(world: World) -> None:
    """Object by object: the same status and the same words for a real name and for one that there never was."""
    count = 0
    with httpx2.Client(base_url=world.address, timeout=30) as web:
        for route in asked_routes():
            if not any(s.startswith("{") for s in route.segments) or route.permission == "admin":
                continue
            real = path_of(route, world.run)
            for who in ("admin elsewhere", "admin of two others"):
                answers: list[Any] = []
                for path in (real, _unreal(real, world.run)):
                    answer = _ask(web, world.tokens[who], route, path)
                    names = [part for part in path.split("/") if part and part not in ("api", "v1")]
                    answers.append((answer.status_code, _without(answer.text, *sorted(names, key=len, reverse=True))))
                assert answers[0] == answers[1], (route.key, who, answers)
                assert answers[0][0] in (404, 422), (route.key, answers)
                count += 1
    assert count > 80


def _unreal(path: str, run: str) -> str:
    """The same path with names that there are not."""
    real = {run: "9" * len(run), "default": "nowhere", "nightly": "nought", "outside": "nothing", "narrow": "none"}
    real |= {"orders": "nobody", "extract": "never"}
    return "/".join(real.get(part, part) for part in path.split("/"))
