"""The exchange: what the scheduler and machines that know nothing of it leave for each other, in an object store.

    code/<digest>.tar.gz            bundles of code, by the digest of their content
    jobs/<shard>/<name>/job             what is to be done, for those who are only told a name
    jobs/<shard>/<name>/log-<number>    pieces of its log, in order
    jobs/<shard>/<name>/container/...   what a job and the container that an engine runs for it leave for each other
    claims/<shard>/<name>               who performs it: put where none is, so there is one
    outcomes/<shard>/<name>             what became of it, before the job ends

A step waits for its claim and its outcome: they have no folder of their own, which a disk takes long to make.
A claim outlives its job by far: a machine that was cut off and wakes up days later finds that it has nothing to do.

Rule: nothing here is waited for and nothing is decided; what is put is never changed, but for being removed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import msgspec

from partita.errors import WorldError
from partita.executors.bundle import Bundle, unpack
from partita.executors.clusters.cluster import Job
from partita.values.objects import Objects, objects_at
from partita.worker.wire import Spooled

SHARDS: Final = 256
# How long what nobody removed is kept: the outcome of a job whose scheduler is away, and the claim that bars a second start.
_OUTCOME_KEPT_S: Final = 7 * 86_400.0
_CLAIM_KEPT_S: Final = 30 * 86_400.0

_encoder = msgspec.msgpack.Encoder()
_job = msgspec.msgpack.Decoder(Job)
_outcome = msgspec.msgpack.Decoder(Spooled)


class Exchange:
    """An object store with this layout. Any thread. Raises `WorldError` when it cannot be reached."""

    def __init__(self, objects: Objects, address: str) -> None:
        self.address = address
        self._objects = objects

    @staticmethod
    def at(address: str) -> Exchange:
        """The exchange at an address: file:///shared/folder, s3://bucket/prefix ... Raises `DefinitionError`."""
        return Exchange(objects_at(address), address)

    # --- code -----------------------------------------------------------------------------------------------------

    def put_code(self, bundle: Bundle) -> None:
        """Leave a bundle, if it is not there."""
        if f"{bundle.digest}.tar.gz" not in self._objects.names("code"):
            self._objects.put(_code(bundle.digest), bundle.path.read_bytes())

    def code(self, digest: str, into: Path) -> Path:
        """Unpack a bundle as a folder below `into`; the folder. There already: nothing is fetched.

        Raises `WorldError` if the exchange has none with this digest, or a damaged one.
        """
        folder = into / digest
        if folder.is_dir():
            return folder
        data = self._objects.get(_code(digest))
        if data is None:
            raise WorldError(
                f"{self.address} has no code {digest[:12]}", hint="was the exchange emptied? start a new run"
            )
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=into, prefix=".", suffix=".tar.gz") as file:
            file.write(data)
            file.flush()
            return unpack(Path(file.name), folder, digest=digest)

    # --- jobs -----------------------------------------------------------------------------------------------------

    def put_job(self, job: Job) -> None:
        """Leave what is to be done, for a machine that is only told the job's name."""
        self._objects.put(f"{_job_at(job.name)}/job", _encoder.encode(job))

    def job(self, name: str) -> Job | None:
        """What is to be done under this name; None if nothing is known of it."""
        data = self._objects.get(f"{_job_at(name)}/job")
        return _job.decode(data) if data is not None else None

    def claim(self, name: str, who: str) -> bool:
        """Take a job for this machine; False if somebody has it already. Once taken it is never free again."""
        return self._objects.create(_claim(name), who.encode())

    def claimed(self, name: str) -> str:
        """Who has taken the job; "" = nobody."""
        return (self._objects.get(_claim(name)) or b"").decode()

    def write_log(self, name: str, number: int, data: bytes) -> None:
        """Leave a piece of the log; numbers go up by one from 1."""
        self._objects.put(f"{_job_at(name)}/log-{number:08d}", data)

    def logs(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """The pieces of the log behind number `after`, in order, as far as there is no hole."""
        found: list[tuple[int, bytes]] = []
        while (data := self._objects.get(f"{_job_at(name)}/log-{after + 1:08d}")) is not None:
            after += 1
            found.append((after, data))
        return found

    def put_outcome(self, name: str, spooled: Spooled) -> None:
        """Leave what became of a job."""
        self._objects.put(_outcome_at(name), _encoder.encode(spooled))

    def outcome(self, name: str) -> Spooled | None:
        """What became of a job; None if that is not known yet."""
        data = self._objects.get(_outcome_at(name))
        return _outcome.decode(data) if data is not None else None

    def put_part(self, name: str, part: str, data: bytes) -> None:
        """Leave something that belongs to the container of a job."""
        self._objects.put(f"{_job_at(name)}/container/{part}", data)

    def create_part(self, name: str, part: str, data: bytes) -> bool:
        """The same where nothing is; False if something is."""
        return self._objects.create(f"{_job_at(name)}/container/{part}", data)

    def part(self, name: str, part: str) -> bytes | None:
        """What was left so; None if nothing was."""
        return self._objects.get(f"{_job_at(name)}/container/{part}")

    def remove(self, name: str) -> None:
        """Remove all that is left of a job, but for its claim: it cannot begin again. Only when its end is committed."""
        self._objects.remove(_job_at(name))
        self._objects.remove(_outcome_at(name))

    def sweep(self, shard: int, *, now: float) -> int:
        """Remove what was left behind in one of the `SHARDS`: outcomes after a week, claims after a month; how many jobs.

        `now` is by time.time(). A scheduler that ends removes nothing that it told a moment ago, and one that is killed
        nothing at all: this is what brings it away.
        """
        prefix = f"{shard:02x}"
        ended = self._objects.older(f"outcomes/{prefix}", now - _OUTCOME_KEPT_S)
        claimed = self._objects.older(f"claims/{prefix}", now - _CLAIM_KEPT_S)
        for name in {*ended, *claimed}:
            self.remove(name)
        for name in claimed:
            self._objects.remove(_claim(name))
        return len({*ended, *claimed})


def _job_at(name: str) -> str:
    return f"jobs/{_shard(name)}/{name}"


def _outcome_at(name: str) -> str:
    return f"outcomes/{_shard(name)}/{name}"


def _claim(name: str) -> str:
    return f"claims/{_shard(name)}/{name}"


def _shard(name: str) -> str:
    """Folders with millions of names are slow: they are spread by the first digits of the hash in the name."""
    return name.removeprefix("pt-")[:2]


def _code(digest: str) -> str:
    return f"code/{digest}.tar.gz"
