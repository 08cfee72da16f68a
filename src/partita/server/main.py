"""The web process of `partita up`: `python -P -m partita.server.main --home HOME --listen-fd 4 --host HOST --port PORT`.

It answers HTTP on a socket that it inherits (or opens itself), reads the store and asks the scheduler. `server.supervisor`
has the contract: what happens is told over `--supervisor-fd`, end of file there and SIGTERM end it. Streams are told that
they end, requests that run are answered, and whoever stays is cut off after `GRACE_S`.

Rule: this file puts things together and ends them in the right order. It may die and start again at any time: nothing is
kept here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from partita.engine.access import Done, IssueToken
from partita.errors import DefinitionError, PartitaError, WorldError
from partita.server.access import AccessGuard
from partita.server.app import App, build_app
from partita.server.bearers import LINK_S, new_link
from partita.server.links import EngineLink, Links
from partita.server.policy import Policy, must_refuse, read_policy
from partita.settings import Home, Settings, home_at

GRACE_S = 3.0
WORLD = 3
_ENGINE_S = 60.0
_ENGINE_STEP_S = 0.02
_HEADER_LIMIT = 64 << 10
_CONNECTIONS = 2000
_log = logging.getLogger("partita.server")

Tell = Callable[[dict[str, Any]], None]


def main(arguments: list[str] | None = None) -> int:
    """Answer until told to end; the exit status."""
    options = _options(arguments)
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(levelname)s: %(message)s")
    # uvicorn names each malformed request; whoever sends them would fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    channel = socket.socket(fileno=options.supervisor_fd) if options.supervisor_fd >= 0 else None
    tell = _teller(channel)
    try:
        home = home_at(options.home.resolve())
        policy = read_policy(home)
        if problem := must_refuse(options.host, policy):
            raise DefinitionError(problem)
        listener = _listener(options)
    except (PartitaError, OSError) as error:
        message = error.message if isinstance(error, PartitaError) else str(error)
        tell({"event": "failed", "message": message, "hint": getattr(error, "hint", None) or "", "fatal": True})
        return WORLD
    with contextlib.closing(listener):
        app = make_app(home, policy, bound=options.host)
        asyncio.run(_serve(app, listener, channel, tell, options.host, home))
    return 0


def make_app(home: Home, policy: Policy, *, bound: str) -> App:
    """The application with the guard that `policy` asks for."""
    settings = Settings(project=home.root.parent, home=home)
    links = Links(settings)
    guard = AccessGuard(policy, home, bound=bound, reader=links.readers.get, ask=links.engine.ask)
    return build_app(settings, guard, links=links)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="partita.server.main", description="The web process of `partita up`.")
    parser.add_argument("--home", type=Path, required=True, help="the folder with the store")
    parser.add_argument("--host", default="127.0.0.1", help="the address to answer on")
    parser.add_argument("--port", type=int, default=0, help="the port to answer on (0: any)")
    parser.add_argument("--listen-fd", type=int, default=-1, help="a listening socket to answer on instead")
    parser.add_argument("--supervisor-fd", type=int, default=-1, help="descriptor of the socket to the supervisor")
    return parser.parse_args(arguments)


def _listener(options: argparse.Namespace) -> socket.socket:
    if options.listen_fd >= 0:
        listener = socket.socket(fileno=options.listen_fd)
    else:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listener = socket.create_server((options.host, options.port), family=family, backlog=512)
    # Connections inherit it. Without it the end of each answer waits 40 ms for the client's acknowledgement of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _serve(
    app: App, listener: socket.socket, channel: socket.socket | None, tell: Tell, host: str, home: Home
) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=_HEADER_LIMIT,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=int(GRACE_S),
    )
    server = _Server(config)

    def stop() -> None:
        # Streams and waits end first, or the server would wait for them.
        app.stop()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    # Settings are read when the process starts; the supervisor starts it again for others.
    loop.add_signal_handler(signal.SIGHUP, stop)
    if channel is not None:
        channel.setblocking(False)
        loop.add_reader(channel.fileno(), _heard, channel, loop, stop)
    ending = threading.Event()
    telling = asyncio.create_task(_tell_ready(tell, _address(host, listener), home, ending))
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.set()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


class _Server(uvicorn.Server):
    """Signals are ours: a supervisor wants an exit status, not a signal raised again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _heard(channel: socket.socket, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Nothing is ever sent here; the end of it means that the supervisor is gone."""
    with contextlib.suppress(BlockingIOError):
        try:
            gone = not channel.recv(4096)
        except ConnectionError:
            gone = True
        if gone:
            loop.remove_reader(channel.fileno())
            stop()


async def _tell_ready(tell: Tell, address: str, home: Home, ending: threading.Event) -> None:
    """Say that requests are answered, with a link to sign in once; the engine may be starting still."""
    loop = asyncio.get_running_loop()
    link = await loop.run_in_executor(None, _link, home, address, ending)
    tell({"event": "ready", "pid": os.getpid(), "address": address, "link": link})


def _link(home: Home, address: str, ending: threading.Event) -> str:
    """An address that signs its first visitor in, as the user of this machine; "" if no engine comes before the end."""
    until = time.monotonic() + _ENGINE_S
    engine = EngineLink(home)
    with contextlib.closing(engine):
        while time.monotonic() < until and not ending.is_set():
            now = time.time()
            made = new_link(now)
            request = IssueToken(
                made.id, made.digest, "", "up", (("*", "admin"),), "local", expires_at=now + LINK_S, of="link"
            )
            try:
                engine.ask(request, Done)
                return f"{address}/#link={made.text}"
            except WorldError:
                ending.wait(_ENGINE_STEP_S)
            except PartitaError as error:
                _log.warning("there is no link to sign in: %s", error)
                break
    return ""


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _teller(channel: socket.socket | None) -> Tell:
    def tell(event: dict[str, Any]) -> None:
        line = json.dumps(event) + "\n"
        if channel is None:
            print(line, end="", flush=True)
            return
        # Without a supervisor there is nobody to tell.
        with contextlib.suppress(OSError):
            channel.setblocking(True)
            channel.sendall(line.encode())
            channel.setblocking(False)

    return tell


if __name__ == "__main__":
    sys.exit(main())
