"""Two `partita up` on one PostgreSQL, as on two machines behind a balancer: whichever web process is asked, the answer is the same,
and when the scheduler that leads is killed, the other one goes on.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from partita.store.own_server import OwnServer

PROJECT = """
import os, time
from pathlib import Path
import partita as pt

@pt.task
def one(n: int = 3) -> list[int]:
    return list(range(n))

@pt.pipeline
def daily(n: int = 3):
    one(n)

@pt.task
def endless() -> None:
    time.sleep(600)

@pt.pipeline
def long():
    endless()

@pt.pipeline(schedule=pt.every("1s"), catchup="all")
def often():
    one(1)

@pt.pipeline(schedule=pt.every("10s"))
def usual():
    one(1)
"""
PARTITA = str(Path(sys.executable).parent / "partita")
LEASE_S = 10.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def project(folder: Path, namespace: str, name: str = "two", code: str = PROJECT) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pipelines.py").write_text(code)
    (folder / "pyproject.toml").write_text(f'[tool.partita]\nname = "{name}"\nnamespace = "{namespace}"\n')
    return folder


class Machine:
    """One `partita up` in a folder of its own: that of a project, or (`values`) one for what is deployed to it."""

    def __init__(
        self,
        folder: Path,
        address: str,
        *words: str,
        ready: str = "web",
        namespace: str = "default",
        values: str = "",
    ) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PARTITA_STORE": address}
        if values:
            folder.mkdir()
            self.environment["PARTITA_VALUES"] = values
            words = ("--deployments", str(folder), *words)
        else:
            project(folder, namespace)
        command = [PARTITA, "up", "--port", "0", "--json", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, env=self.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.events: list[dict[str, Any]] = []
        found = self.wait_for(lambda e: e["event"] == "ready" and e["part"] == ready)
        self.address, self.link = found["address"], found["link"].partition("#link=")[2]
        self.cookie = ""

    def wait_for(self, is_it: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        while True:
            event = json.loads(self.process.stdout.readline())
            self.events.append(event)
            if is_it(event):
                return event  # type: ignore[no-any-return]

    def pid_of(self, part: str) -> int:
        return next(e["pid"] for e in reversed(self.events) if e["event"] == "ready" and e["part"] == part)

    def ask(self, method: str, path: str, body: object = None, *, cookie: str = "") -> tuple[int, Any, str]:
        host = self.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        headers = {"Origin": self.address, "Content-Type": "application/json", "Cookie": cookie}
        with closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers.get("Set-Cookie") or ""

    def cookie_of(self, secret: str) -> str:
        """Cookies carry their port in the name, for on one host they do not tell ports apart."""
        return f"partita-{self.address.rpartition(':')[2]}={secret}"

    def live(self, secret: str, after: str, until: str) -> list[int]:
        """Numbers of what is streamed behind `after`, until a line has `until` in it."""
        host = self.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        with closing(connection):
            connection.request(
                "GET", "/api/v1/events/live", headers={"Cookie": self.cookie_of(secret), "Last-Event-ID": after}
            )
            answer = connection.getresponse()
            assert answer.status == 200
            numbers = []
            for line in answer:
                if line.startswith(b"id: "):
                    numbers.append(int(line[4:]))
                if line.startswith(b"data: ") and until.encode() in line:
                    break
            return numbers

    def partita(self, *words: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            [PARTITA, *words], cwd=folder or self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, folder: Path, *words: str) -> str:
        """Bring a project to this one, as a program of its user does."""
        token = (self.folder / "token").read_text().strip()
        return self.partita("deploy", "--to", self.address, "--token", token, *words, folder=folder)

    def die(self) -> None:
        """The whole machine is gone: supervisor, schedulers, web process, workers."""
        os.kill(self.process.pid, signal.SIGKILL)
        for part in {e["part"]: e["pid"] for e in self.events if e["event"] == "ready" and e["part"] != "web"}.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(part, signal.SIGKILL)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    folder = Path(tempfile.mkdtemp(prefix="partita-two-"))
    # Whoever PostgreSQL runs as may enter it.
    folder.chmod(0o755)
    own = OwnServer(folder / "postgres")
    own.start()
    yield own
    own.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def address(server: OwnServer, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    name = f"t{abs(hash(request.node.name))}"
    with psycopg.connect(server.address_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.address_of(name)


@pytest.fixture
def machines(tmp_path: Path, address: str) -> Iterator[tuple[Machine, Machine]]:
    made = []
    try:
        made.append(Machine(tmp_path / "a", address))
        made.append(Machine(tmp_path / "b", address))
        yield made[0], made[1]
    finally:
        for machine in made:
            machine.end()


def test_a_session_a_link_and_a_stream_go_on_at_whichever_web_process_is_asked(
    machines: tuple[Machine, Machine],
) -> None:
    a, b = machines
    # The link of the first is taken by the second, once.
    status, _, cookie = b.ask("POST", "/api/v1/session", {"link": a.link})
    assert status == 201
    secret = cookie.partition("=")[2].partition(";")[0]
    assert a.ask("POST", "/api/v1/session", {"link": a.link})[0] in (400, 401, 422)
    # The session holds at both.
    about = [m.ask("GET", "/api/v1/about", cookie=m.cookie_of(secret)) for m in machines]
    assert [status for status, _, _ in about] == [200, 200]
    leaders = [found["leaders"] for _, found, _ in about]
    assert leaders[0][0]["leads"]
    assert leaders[0][0]["holder"] == leaders[1][0]["holder"]
    assert leaders[0][0]["since_at"]
    # A run that is asked of the one that only stands by.
    status, made, _ = b.ask("POST", "/api/v1/runs", {"pipeline": "daily"}, cookie=b.cookie_of(secret))
    assert status in (200, 201, 202), made
    first = a.live(secret, "0", made["id"])
    again = b.live(secret, str(first[-1]), "often")
    assert again[0] > first[-1]
    assert again == sorted(set(again))
    # Signed out at one, signed out at both.
    assert a.ask("DELETE", "/api/v1/session", cookie=a.cookie_of(secret))[0] in (200, 204)
    deadline = time.monotonic() + 15
    while b.ask("GET", "/api/v1/about", cookie=b.cookie_of(secret))[0] != 401:
        assert time.monotonic() < deadline


def test_commands_on_the_machine_that_stands_by_are_carried_out_by_the_one_that_leads(
    machines: tuple[Machine, Machine],
) -> None:
    _, b = machines
    assert "succeeded" in b.partita("run", "daily")
    assert [lease["leads"] for lease in json.loads(b.partita("system", "--json"))["leaders"]] == [True]
    started = subprocess.Popen(
        [PARTITA, "run", "long", "--json"], cwd=b.folder, env=b.environment, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not any(run["pipeline"] == "long" for run in json.loads(b.partita("runs", "--json"))):
        assert time.monotonic() < deadline
    assert "is being cancelled" in b.partita("cancel", "long")
    out, _ = started.communicate(timeout=30)
    assert json.loads(out)["state"] == "cancelled"


def test_the_one_that_stands_by_takes_over_and_every_tick_is_decided_once(
    machines: tuple[Machine, Machine], address: str
) -> None:
    a, b = machines
    with psycopg.connect(address, autocommit=True) as connection:

        def epoch() -> int:
            row = connection.execute("SELECT epoch FROM leases WHERE resource = 'engine'").fetchone()
            return int(row[0]) if row else 0

        before = epoch()
        # The whole machine is gone: supervisor, scheduler, web process, workers.
        os.kill(a.process.pid, signal.SIGKILL)
        os.kill(a.pid_of("scheduler"), signal.SIGKILL)
        died_at = time.monotonic()
        b.wait_for(lambda e: e["event"] == "ready" and e["part"] == "scheduler")
        took_s = time.monotonic() - died_at
        assert epoch() > before
        assert took_s < LEASE_S + 2.0 + 3.0, "lease time + 2 s, and what a busy machine needs to start the process"
        deadline = time.monotonic() + 30
        while True:
            row = connection.execute(
                "SELECT sum(count), min(instant), max(coalesce(until, instant)) FROM ticks WHERE schedule = 'often'"
            ).fetchone()
            assert row is not None
            # The one that is gone may have decided none yet.
            if row[2] is not None and row[2] > time.time() - 2:
                break
            assert time.monotonic() < deadline
        assert row[0] == row[2] - row[1] + 1


def test_a_rolling_restart_loses_no_tick(machines: tuple[Machine, Machine], address: str, tmp_path: Path) -> None:
    """One machine after the other is ended as one does it, and started anew; so twice."""
    leads, waits = machines
    began_at = time.time()
    with psycopg.connect(address, autocommit=True) as connection:
        for number in range(4):
            leads.process.send_signal(signal.SIGTERM)
            ended_at = time.monotonic()
            waits.wait_for(lambda e: e["event"] == "ready" and e["part"] == "scheduler")
            # The lease was given back: nobody waits for it to run out.
            assert time.monotonic() - ended_at < LEASE_S
            leads.end()
            leads, waits = waits, Machine(tmp_path / f"again-{number}", address)
        deadline = time.monotonic() + 60
        while True:
            found = connection.execute(
                "SELECT schedule, decision, sum(count), min(instant), max(coalesce(until, instant)) FROM ticks"
                " WHERE instant > %s GROUP BY schedule, decision",
                (began_at,),
            ).fetchall()
            last = {schedule: until for schedule, _, _, _, until in found}
            if last.get("often", 0) > time.time() - 2 and last.get("usual", 0) > time.time() - 12:
                break
            assert time.monotonic() < deadline
    waits.end()
    leads.end()
    # Each tick once, and none skipped: that of ten seconds catches up on nothing, and had no need to.
    assert {(schedule, decision) for schedule, decision, *_ in found} == {("often", "run"), ("usual", "run")}
    for schedule, _, count, first, until in found:
        assert count == (until - first) / {"often": 1, "usual": 10}[schedule] + 1


def test_namespaces_are_led_by_schedulers_of_their_own_and_go_on_when_a_machine_is_gone(
    tmp_path: Path, address: str
) -> None:
    made: list[Machine] = []
    try:
        made.append(Machine(tmp_path / "a", address, "--spread", ready="web", namespace="team"))
        made.append(Machine(tmp_path / "b", address, "--spread", ready="web", namespace="team"))
        a, b = made
        assert "succeeded" in b.partita("run", "daily")
        leads = {lease["namespace"]: lease for lease in json.loads(b.partita("system", "--json"))["leaders"]}
        assert set(leads) == {None, "team"}
        assert all(lease["leads"] for lease in leads.values())
        assert leads[None]["holder"] != leads["team"]["holder"]
        os.kill(a.process.pid, signal.SIGKILL)
        for lease in leads.values():
            pid = int(lease["holder"].split(":")[1])
            if os.getpgid(pid) == pid:
                os.kill(pid, signal.SIGKILL)
        b.wait_for(lambda e: e["event"] == "ready" and e["part"] == "scheduler of team")
        assert "succeeded" in b.partita("run", "daily")
        assert "all invariants hold" in b.partita("db", "audit")
    finally:
        for machine in made:
            machine.end()


def test_deployed_projects_are_led_by_namespace_and_go_on_when_a_machine_is_gone(tmp_path: Path, address: str) -> None:
    values = (tmp_path / "values").as_uri()
    made: list[Machine] = []
    with psycopg.connect(address, autocommit=True) as connection:
        try:
            made += [Machine(tmp_path / name, address, "--spread", values=values) for name in ("a", "b")]
            a, b = made
            shop, sales = project(tmp_path / "shop", "team", "shop"), project(tmp_path / "sales", "sales", "sales")
            # Nobody has heard of these namespaces; one is brought to the machine that leads, the other one to that which does not.
            assert "is served with version" in a.deploy(shop)
            assert "is served with version" in b.deploy(sales)
            leads = leaders(b, shop)
            assert set(leads) == {"", "team", "sales"}
            assert len({lease["holder"] for lease in leads.values()}) == 3
            assert "succeeded" in b.partita("run", "daily", folder=shop)
            for machine in made:
                assert [(p["project"], p["namespace"], p["deployment"]) for p in system(machine)["projects"]] == [
                    ("sales", "sales", 1),
                    ("shop", "team", 1),
                ]
            told = b.partita("system", folder=shop).splitlines()
            assert [line.split()[:2] for line in told if "deployment 1" in line] == [
                ["sales", "sales"],
                ["shop", "team"],
            ]
            token = (b.folder / "token").read_text().strip()
            listed = b.partita("deployments", "--to", b.address, "--token", token, folder=shop).splitlines()
            assert [line.split()[:4] for line in listed[-2:]] == [
                ["sales", "sales", "1", "served"],
                ["shop", "team", "1", "served"],
            ]
            # A project stays in its namespace; what was served goes on.
            moved = project(tmp_path / "moved", "sales", "shop")
            with pytest.raises(AssertionError, match="project shop is in namespace 'team'"):
                a.deploy(moved, "--anyway")

            pid = int(leads["team"]["holder"].split(":")[1])
            dead, left = (a, b) if pid == leader_pid(a, "team") else (b, a)
            before = leads["team"]["epoch"]
            dead.die()
            while not leads["team"]["leads"] or leads["team"]["epoch"] == before or not leads[""]["leads"]:
                leads = leaders(left, shop)
            # The next version is brought to whoever is left, and it can be gone back from.
            project(shop, "team", "shop", PROJECT + "\nSECOND = True\n")
            assert "is served with version" in left.deploy(shop)
            assert "is served with version" in left.deploy(shop, "--rollback")
            assert {p["project"]: p["deployment"] for p in system(left)["projects"]} == {"sales": 1, "shop": 3}
            # Each tick once, of both namespaces, whoever led it.
            done_at = time.time()
            while True:
                found = connection.execute(
                    "SELECT namespace, sum(count), min(instant), max(coalesce(until, instant)) FROM ticks"
                    " WHERE schedule = 'often' GROUP BY namespace"
                ).fetchall()
                if len(found) == 2 and all(until > done_at for *_, until in found):
                    break
                assert time.time() < done_at + 60
            for _, count, first, until in found:
                assert count == until - first + 1
            assert "all invariants hold" in left.partita("db", "audit", folder=shop)
        finally:
            for machine in made:
                machine.end()


def leaders(machine: Machine, folder: Path) -> dict[str, dict[str, Any]]:
    """Leases by namespace, "" = all others."""
    found = json.loads(machine.partita("system", "--json", folder=folder))["leaders"]
    return {lease["namespace"] or "": lease for lease in found}


def leader_pid(machine: Machine, namespace: str) -> int:
    """The process of a machine's scheduler for a namespace, as its supervisor says."""
    parts = json.loads((machine.folder / "service.json").read_text())["parts"]
    return int(parts.get(f"scheduler of {namespace}", 0))


def system(machine: Machine) -> dict[str, Any]:
    """What the web process of a machine says, which keeps no state."""
    if not machine.cookie:
        status, _, cookie = machine.ask("POST", "/api/v1/session", {"link": machine.link})
        assert status == 201
        machine.cookie = machine.cookie_of(cookie.partition("=")[2].partition(";")[0])
    status, found, _ = machine.ask("GET", "/api/v1/system", cookie=machine.cookie)
    assert status == 200
    return found  # type: ignore[no-any-return]
