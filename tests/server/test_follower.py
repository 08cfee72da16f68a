"""Following the journal, and clients that are too slow for it, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from partita.core.facts.house import HealthChanged
from partita.core.permissions import Principal
from partita.server.app import build_app
from partita.server.follower import Follower
from partita.server.guarding import Incoming
from partita.settings import Settings
from partita.store.reading import SqlReader
from partita.store.sqlite import SqliteStore, open_reader, open_store


class Journal:
    """A store that somebody writes facts into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store: SqliteStore = open_store(path)
        self.epoch = self.store.acquire("engine", "test", 60.0).epoch
        self.looks = 0
        self._reader: SqlReader | None = None

    def write(self, text: str) -> None:
        self.store.commit([], epoch=self.epoch, facts=[HealthChanged(1.0, text, "unwell")])

    def reader(self) -> SqlReader:
        self.looks += 1
        if self._reader is None:
            self._reader = open_reader(self.path)
        return self._reader


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    settings = Settings.of(tmp_path)
    settings.home.root.mkdir(parents=True)
    journal = Journal(settings.home.db)
    yield journal
    journal.store.close()


def test_each_commit_is_handed_on_once_and_in_order(journal: Journal) -> None:
    async def listened() -> list[int]:
        follower = Follower(journal.reader, look_s=0.001)
        seen: list[int] = []
        async with follower.listening() as end:
            for n in range(30):
                journal.write(f"part{n}")
                while end < journal.store.end_of_stream():
                    page = await follower.page(end, 5.0)
                    assert page is not None
                    seen += [row.no for row in page.rows]
                    end = page.end
        await follower.close()
        return seen

    seen = asyncio.run(listened())
    assert len(seen) == 30
    assert seen == sorted(set(seen))


def test_waiting_for_nothing_costs_a_look_now_and_then(journal: Journal) -> None:
    async def waited() -> None:
        follower = Follower(journal.reader, look_s=0.05)
        async with follower.listening() as end:
            assert await follower.page(end, 0.3) is None
        await follower.close()

    asyncio.run(waited())
    assert journal.looks <= 12


def test_nobody_is_followed_for_when_nobody_listens(journal: Journal) -> None:
    async def left() -> int:
        follower = Follower(journal.reader, look_s=0.001)
        async with follower.listening():
            pass
        assert follower.listeners == 0
        task = follower._task
        assert task is not None
        await asyncio.wait_for(task, 5.0)
        await follower.close()
        return journal.looks

    assert asyncio.run(left()) <= 3


class Everybody:
    """A guard that lets everybody do everything."""

    def admit(self, incoming: Incoming) -> Principal:
        return Principal("all", "local", (("*", "admin"),))

    def may(self, principal: Principal, permission: str, namespace: str) -> bool:
        return principal.may(permission, namespace)

    def answered(self, *args: Any, **more: Any) -> None: ...


@pytest.mark.parametrize("takes", [0, 1])
def test_a_client_that_takes_nothing_is_cut_off(journal: Journal, tmp_path: Path, takes: int) -> None:
    journal.write("one")

    async def stuck() -> list[dict[str, Any]]:
        app = build_app(Settings.of(tmp_path), Everybody(), slow_s=0.05)
        sent: list[dict[str, Any]] = []
        never = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if len(sent) > 1 + takes:
                await never.wait()

        async def receive() -> dict[str, Any]:
            if "request" not in asked:
                asked.add("request")
                return {"type": "http.request", "body": b"", "more_body": False}
            await never.wait()
            return {}

        asked: set[str] = set()
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/events/live",
            "raw_path": b"/api/v1/events/live",
            "query_string": b"after=0",
            "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1),
            "scheme": "http",
        }
        await asyncio.wait_for(app(scope, receive, send), 10.0)
        assert app.follower.listeners == 0
        await app.close()
        return sent

    sent = asyncio.run(stuck())
    assert sent[0]["status"] == 200
    # It is cut off in the middle: there is no last piece, and so no wrong impression of an end.
    assert all(message.get("more_body") for message in sent[1:])
