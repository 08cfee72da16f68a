"""`partita up`: serve projects until told to end: schedules, sensors, backfills, the API.

This process is the supervisor: it starts the scheduler and the web process, and starts again whichever dies. The words that
it prints are made here, of the events that its parts tell.

Rule: nothing heavy is imported; all that is known of projects and runs comes from the scheduler.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.words import many
from partita.errors import DefinitionError, WorldError
from partita.executors.identity import name_of
from partita.settings import POINTER, VALUES, Home, home_at, store_at, store_of, values_of

if TYPE_CHECKING:
    from partita.cli.styled import Span
    from partita.server.supervisor import Event, PartSpec
    from partita.store.own_server import OwnServer

PORT = 4400
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# How long an address that an ending service still has is waited for.
_BIND_S = 1.0
_SHOWN_PROBLEMS = 10


def up(
    folders: Annotated[
        list[Path] | None, Argument("DIR", "The projects (default: this one, or the nearest above)")
    ] = None,
    host: Annotated[
        str, Option(("--host",), "Where to answer; beyond this machine only with users", "HOST")
    ] = "127.0.0.1",
    port: Annotated[int, Option(("--port",), "Which port; 0 takes a free one", "N", 0)] = PORT,
    web: Annotated[bool | None, Option(("--web",), "Answer over HTTP, or not: API and UI (default: yes)")] = None,
    workers: Annotated[int, Option(("--workers",), "Workers of each project (0: one for each processor)", "N", 0)] = 0,
    home: Annotated[Path | None, Option(("--home",), "Where everything is kept (default: .partita)", "FOLDER")] = None,
    wait: Annotated[int, Option(("--wait",), "At the end, wait so many seconds for running steps", "N", 0)] = 0,
    postgres: Annotated[
        bool, Option(("--postgres",), "Keep the store in a PostgreSQL of its own, in the home")
    ] = False,
    deployments: Annotated[
        Path | None, Option(("--deployments",), "Serve what is deployed here, kept in FOLDER", "FOLDER")
    ] = None,
    spread: Annotated[bool, Option(("--spread",), "On PostgreSQL: give each namespace a scheduler of its own")] = False,
    json: Annotated[bool, Option(("--json",), "What happens, as a JSON object in a line")] = False,
    folder: options.Project = None,
) -> int:
    """Serve one or more projects: their schedules, sensors and backfills, the API and the UI.

    Definitions are read again when their files change. Ctrl-C ends it; steps that run are left to finish, and the next
    `partita up` takes up what became of them. A second Ctrl-C ends it at once.
    """
    from partita.server.supervisor import Supervisor, listen

    if deployments is not None and home is not None:
        raise DefinitionError("--deployments names the folder where everything is kept", hint="leave --home out")
    served = _folders(folders, folder) if deployments is None or folders or folder else []
    kept = _home(served, home or deployments)
    if web is not False:
        _refuse_open_host(host, kept)
    words = _Words(json=json)
    listening = None if web is False else _listening(listen, host, port)
    server: OwnServer | None = None
    try:
        _point_to(kept, served)
        server = _database(kept, postgres=postgres)
        kept = home_at(kept.root)
        service = _ServiceFile(kept, served)
        words.on_ready = service.ready
        own = _namespaces(kept, served) if spread else []
        schedulers = _Schedulers(kept, served, workers=workers, wait=wait)
        parts = [*schedulers.parts(own, spread=spread), *_web(kept, listening)]
        words.begin(served, kept)
        supervisor = Supervisor(
            parts,
            tell=words.tell,
            changed=service.changed,
            grown=schedulers.grown,
            is_left=_terminal_watch(),
            patience_s=20.0 + wait,
        )
        try:
            return supervisor.run()
        finally:
            service.remove()
            words.end()
    finally:
        if server is not None:
            server.stop()
        if listening is not None:
            listening.close()


def _database(home: Home, *, postgres: bool) -> OwnServer | None:
    """The PostgreSQL that is kept in the home, running, if the store is to be in it or is there already.

    The processes that we start, and other commands here, find the store by the environment or by a file in the home.
    """
    from partita.store import opening

    opening.is_shared(home)
    if not postgres:
        server = opening.own_server(home)
        if server is not None:
            server.start()
        elif home.store:
            os.environ["PARTITA_STORE"] = home.store
        return server
    return _own_database(home)


def _own_database(home: Home) -> OwnServer:
    from partita.settings import STORE
    from partita.store.own_server import OwnServer

    server = OwnServer(home.root / "postgres")
    if home.store and home.store != server.address:
        raise DefinitionError(
            "the store has an address already, and --postgres asks for another one", hint="leave one of them out"
        )
    if not home.store and home.db.exists() and not server.is_made:
        raise DefinitionError(
            f"the store is in {home.db}",
            hint=f"move it into PostgreSQL: partita db copy sqlite://{home.db} {server.address}",
        )
    server.start()
    (home.root / STORE).write_text(server.address + "\n")
    return server


def _folders(folders: list[Path] | None, folder: Path | None) -> list[Path]:
    from partita.cli import project

    if not folders and folder is None:
        try:
            return [project.settings_of(None).project]
        except DefinitionError:
            # Nothing here yet: whoever writes the first definition sees it served.
            return [Path.cwd()]
    if not folders:
        return [project.settings_of(folder).project]
    if folder is not None:
        raise DefinitionError("name the projects once: DIR... or -C", hint="partita up DIR")
    found: list[Path] = []
    for each in folders:
        if not each.is_dir():
            raise DefinitionError(f"there is no folder {each}", hint="partita up takes folders of projects")
        if each.resolve() not in found:
            found.append(each.resolve())
    return found


def _home(served: list[Path], home: Path | None) -> Home:
    """One project: its own `.partita`. Several: PARTITA_HOME, or `.partita` here. The store is where the first one says."""
    if home is not None:
        root = home.resolve()
    elif named := os.environ.get("PARTITA_HOME"):
        root = Path(named).resolve()
    else:
        root = served[0] / ".partita" if len(served) == 1 else Path.cwd() / ".partita"
    if not served:
        return home_at(root)
    return Home(root, store_of(served[0]) or store_at(root), values_of(served[0]))


def _point_to(home: Home, served: list[Path]) -> None:
    """Other commands find the store from a project's folder, also when it lies elsewhere."""
    try:
        home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Where values are is said by the first project; the parts and other commands find it in the home.
        if home.values:
            (home.root / VALUES).write_text(home.values + "\n", encoding="utf-8")
        else:
            (home.root / VALUES).unlink(missing_ok=True)
        for project in served:
            own = project / ".partita"
            if own == home.root:
                (own / POINTER).unlink(missing_ok=True)
            else:
                own.mkdir(exist_ok=True, mode=0o700)
                (own / POINTER).write_bytes(os.fsencode(home.root) + b"\n")
    except OSError as error:
        raise WorldError(
            f"{error.filename} cannot be written: {error.strerror}", hint="make it writable, or: --home FOLDER"
        ) from error


def _refuse_open_host(host: str, home: Home) -> None:
    """Beyond this machine only where people have to say who they are."""
    if host in _LOOPBACK or host.startswith("127."):
        return
    from partita.server.policy import must_refuse, read_policy

    if problem := must_refuse(host, read_policy(home)):
        raise DefinitionError(problem)


def _listening(listen: Callable[[str, int], socket.socket], host: str, port: int) -> socket.socket:
    deadline = time.monotonic() + _BIND_S
    while True:
        try:
            return listen(host, port)
        except OSError as error:
            if time.monotonic() < deadline and error.errno == 98:
                time.sleep(0.05)
                continue
            raise WorldError(
                f"{host}:{port} cannot be listened on: {error.strerror}",
                hint="is another one running? choose another port: --port 0 takes a free one",
            ) from error


def _namespaces(home: Home, served: list[Path]) -> list[str]:
    """The namespaces of the projects, each of which is to have a scheduler of its own."""
    from partita.define.project import read_config
    from partita.store.opening import is_shared

    if not is_shared(home):
        raise DefinitionError(
            "--spread needs a store that several schedulers can write to",
            hint="set PARTITA_STORE=postgresql://..., or: partita up --postgres --spread",
        )
    return sorted({read_config(folder).namespace for folder in served})


class _Schedulers:
    """The scheduler processes: one for all namespaces, or beside it one for each that is given out."""

    def __init__(self, home: Home, served: list[Path], *, workers: int, wait: int) -> None:
        from partita.server.supervisor import CHANNEL_FD

        self._served = [str(folder) for folder in served]
        more = (("--workers", str(workers)) if workers else ()) + (("--wait", str(wait)) if wait else ())
        self._words = ("--home", str(home.root), "--supervisor-fd", str(CHANNEL_FD), *more)

    def parts(self, own: Sequence[str], *, spread: bool) -> list[PartSpec]:
        """At the beginning; `own` are the namespaces that are given out now."""
        words = [word for namespace in own for word in ("--given-out", namespace)]
        rest = self._part("scheduler", *words, *(("--spread",) if spread else ()))
        return [rest, *(self._of(namespace, vital=True) for namespace in own)]

    def grown(self, event: Event) -> list[PartSpec]:
        """Those of namespaces that were given out since, as the scheduler of all others says."""
        # One that cannot be, or fails again and again, does not end what the others do.
        names = event.get("names", ()) if event["event"] == "namespaces" else ()
        return [self._of(namespace, vital=False) for namespace in names]

    def _of(self, namespace: str, *, vital: bool) -> PartSpec:
        return self._part(f"scheduler of {namespace}", "--namespace", namespace, vital=vital)

    def _part(self, name: str, *words: str, vital: bool = True) -> PartSpec:
        from partita.server.supervisor import PartSpec

        return PartSpec(name, "partita.engine.main", (*self._words, *words, *self._served), vital=vital)


def _web(home: Home, listening: socket.socket | None) -> list[PartSpec]:
    from partita.server.supervisor import CHANNEL_FD, LISTEN_FD, PartSpec

    if listening is None:
        return []
    host, port = listening.getsockname()[:2]
    common = ("--home", str(home.root), "--supervisor-fd", str(CHANNEL_FD))
    arguments = (*common, "--listen-fd", str(LISTEN_FD), "--host", str(host), "--port", str(port))
    return [PartSpec("web", "partita.server.main", arguments, listen=listening, vital=False)]


def _terminal_watch() -> Callable[[], bool]:
    """Whether the terminal that this was started on is gone: then a SIGHUP means to end, and not to read files again."""
    try:
        terminal_fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return lambda: False

    def is_gone() -> bool:
        try:
            os.tcgetpgrp(terminal_fd)
        except OSError:
            return True
        return False

    return is_gone


class _ServiceFile:
    """`service.json` in the home: which processes serve it, since when, and where they answer.

    Written from when our scheduler has the store: until then it may be another service's.
    """

    def __init__(self, home: Home, served: list[Path]) -> None:
        self._path = home.service
        self._is_ours = False
        self._content: dict[str, Any] = {
            "pid": os.getpid(),
            "process": name_of(os.getpid()),
            "since": time.time(),
            "address": "",
            "projects": [str(folder) for folder in served],
            "parts": {},
        }

    def ready(self, part: str, event: Event) -> None:
        """A part answers."""
        self._is_ours = self._is_ours or part.startswith("scheduler")
        self._content["address"] = event.get("address") or self._content["address"]
        self._write()

    def changed(self, pids: dict[str, int]) -> None:
        """A part has another process."""
        self._content["parts"] = pids
        self._write()

    def remove(self) -> None:
        """Nobody is at work here any more."""
        if self._is_ours:
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        import json

        if not self._is_ours:
            return
        making = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            making.write_text(json.dumps(self._content, indent=2) + "\n")
            making.replace(self._path)
        except OSError as error:
            terminal.note(("■ ", "amber"), f"{self._path} cannot be written: {error.strerror}")


class _Words:
    """What is printed: one line for each event, the same on a terminal and in a journal."""

    def __init__(self, *, json: bool) -> None:
        self.on_ready: Callable[[str, Event], None] = lambda part, event: None
        self._json = json
        self._out = terminal.out()
        self._said: dict[str, Callable[[str, Event], None]] = {
            "ready": self._ready,
            "loaded": self._loaded,
            "reloaded": self._loaded,
            "kept": self._kept,
            "broken": self._kept,
            "run": self._run,
            "failed": self._failed,
            "standby": self._standby,
            "died": self._died,
            "given_up": self._given_up,
            "killed": self._killed,
            "stopping": self._stopping,
            "reloading": lambda part, event: self._line(("↻ ", "blue"), "reading all definitions again"),
            "left": self._left,
            "health": self._health,
            "namespaces": self._namespaces,
        }
        self._hint = ""
        # Namespaces that were told of.
        self._told: set[str] = set()

    def begin(self, served: list[Path], home: Home) -> None:
        if not self._json:
            what = many(len(served), "project") if served else "what is deployed to it"
            self._line(("partita ", "bold"), f"serves {what}, kept in {home.root}")

    def tell(self, part: str, event: Event) -> None:
        """Say what happened."""
        if event["event"] == "ready":
            self.on_ready(part, event)
        if self._json:
            import json

            self._write(json.dumps({"at": _now(), "part": part, **event}))
            return
        say = self._said.get(event["event"])
        if say is not None:
            say(part, event)

    def end(self) -> None:
        if not self._json:
            self._line(("○ ", "grey"), "ended")

    def _ready(self, part: str, event: Event) -> None:
        if part == "web":
            self._line(("● ", "green"), f"answers at {event.get('link') or event.get('address', '')}")
            return
        resumed = event.get("resumed") or []
        if resumed:
            numbers = ", ".join(str(no) for no in resumed[:8]) + (" ..." if len(resumed) > 8 else "")
            self._line(("◐ ", "blue"), f"takes up {many(len(resumed), 'run')}: {numbers}")

    def _loaded(self, part: str, event: Event) -> None:
        kinds = (("pipelines", "pipeline"), ("assets", "asset"), ("schedules", "schedule"), ("sensors", "sensor"))
        what = ", ".join(many(event[key], word) for key, word in kinds if event.get(key)) or "nothing yet"
        again = "" if event["event"] == "loaded" else " again, unchanged" if event.get("same") else " again"
        self._line(("● ", "green"), (event["project"], "bold"), f" loaded{again}: {what}, version {event['code']}")
        self._problems(event)

    def _kept(self, part: str, event: Event) -> None:
        self._line(("■ ", "red"), (event["project"], "bold"), f" cannot be loaded: {_first_line(event['error'])}")
        self._problems(event)
        if event["event"] == "kept":
            self._line("  ", f"version {event['code']}, the last good one, goes on")
        if event.get("again_in_s") is not None:
            self._line("  ", f"it is tried again in {max(0.0, event['again_in_s']):.0f} s, and when a file changes")

    def _problems(self, event: Event) -> None:
        problems = event.get("problems") or []
        for problem in problems[:_SHOWN_PROBLEMS]:
            where = f"{problem['file']}:{problem['line']}: " if problem.get("file") else ""
            self._line(("  ■ ", "red"), where + _first_line(problem["message"]))
            if problem.get("hint"):
                self._line(("    hint: ", "accent"), problem["hint"])
        if len(problems) > _SHOWN_PROBLEMS:
            self._line("    ", f"and {len(problems) - _SHOWN_PROBLEMS} more: partita check")

    def _run(self, part: str, event: Event) -> None:
        state = event["state"]
        look: Span = ("■ ", "red") if state == "failed" else ("⊘ ", "grey")
        of = event["pipeline"] + (f" {event['partition']}" if event.get("partition") else "")
        steps = ", ".join(event.get("steps") or [])
        why = f": {steps}" if steps else f": {event['reason']}" if event.get("reason") else ""
        self._line(look, f"run {event['no']} ({of}) {state}{why}")

    def _failed(self, part: str, event: Event) -> None:
        self._line(("■ ", "red"), f"{part}: {event.get('message', '')}")
        if event.get("hint"):
            self._line(("  hint: ", "accent"), event["hint"])

    def _standby(self, part: str, event: Event) -> None:
        self._line(("◌ ", "amber"), f"the {part} stands by: {event['message']}")

    def _died(self, part: str, event: Event) -> None:
        again = event["again_in_s"]
        self._line(("■ ", "amber"), f"the {part} process {event['how']}; it is started again in {again:g} s")

    def _given_up(self, part: str, event: Event) -> None:
        self._line(("■ ", "red"), f"gives up on the {part} process: {event['why']}")

    def _killed(self, part: str, event: Event) -> None:
        self._line(("■ ", "amber"), f"the {part} process is ended by force ({event['why']})")

    def _stopping(self, part: str, event: Event) -> None:
        self._line(("○ ", "grey"), "ending: nothing new starts; Ctrl-C again ends it at once")

    def _left(self, part: str, event: Event) -> None:
        if event.get("steps"):
            steps = many(event["steps"], "running step")
            self._line(("◐ ", "blue"), f"{steps} left to finish; the next `partita up` takes up what becomes of them")

    def _health(self, part: str, event: Event) -> None:
        look: Span = ("■ ", "amber") if event.get("problem") else ("● ", "green")
        self._line(look, f"{event['of']}: {event.get('problem') or 'well again'}")

    def _namespaces(self, part: str, event: Event) -> None:
        new = [name for name in event["names"] if name not in self._told]
        self._told.update(new)
        if new:
            self._line(("● ", "green"), f"namespaces with a scheduler of their own: {', '.join(new)}")

    def _line(self, *spans: Span | str) -> None:
        from partita.cli.styled import paint

        text = paint([s if isinstance(s, tuple) else (s, "") for s in spans], colour=self._out.colour)
        self._write(f"{_clock()} {text}" if self._out.is_terminal else text)

    def _write(self, line: str) -> None:
        """Each line at once: whoever reads a journal reads it now. A reader that is gone ends nothing."""
        try:
            self._out.stream.write(line + "\n")
            self._out.stream.flush()
        except OSError:
            return


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _now() -> str:
    import datetime as dt

    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clock() -> str:
    return time.strftime("%H:%M:%S")
