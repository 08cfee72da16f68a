"""A way to a PostgreSQL server that can be cut: before it hears of a COMMIT, after it, or for as long as one likes."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from pathlib import Path
from typing import Literal

Cut = Literal["", "unheard", "heard", "hanging"]


class Proxy:
    """Forwards a Unix socket. `cut` says what happens to the next COMMIT; `is_down` refuses new connections."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.cut: Cut = ""
        self.is_down = False
        self.cuts = 0
        self._server = f"{server}/.s.PGSQL.5432"
        self._held: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for held in self._held:
            held.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_down:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with client, contextlib.suppress(OSError), selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        server.close()
                        return
                    if self.cut and key.fileobj is client and b"COMMIT" in data:
                        self._cut(server, data)
                        return
                    key.data.sendall(data)

    def _cut(self, server: socket.socket, data: bytes) -> None:
        how, self.cut = self.cut, ""
        self.cuts += 1
        if how == "heard":
            # With the end of the pipeline, if that was to come in a packet of its own.
            server.sendall(data + b"S\0\0\0\4")
            answer = b""
            while b"COMMIT\0" not in answer:
                answer += server.recv(1 << 16)
        if how == "hanging":
            # The server sees nobody go: its transaction stays open, and so do its locks.
            self._held.append(server)
        else:
            server.close()
