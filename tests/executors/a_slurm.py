"""A real Slurm on loopback for tests: munged, slurmctld and two slurmd with a configuration of their own in a folder.

Rule: everything is ended by the process that was started; nothing of the machine's own configuration is read or written.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO, Final

_PROGRAMS: Final = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
_PATIENCE_S: Final = 60.0
_CONFIGURATION: Final = """\
ClusterName=partita
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
GresTypes=scratch
Licenses=matlab:1
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=2
MinJobAge={remembers}
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
EnforcePartLimits=ALL
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={first} CPUs=2 RealMemory=4000 Gres=scratch:2 State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={second} CPUs=2 RealMemory=4000 Gres=scratch:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=down Nodes=ALL State=DOWN
"""


def missing() -> list[str]:
    """The programs of Slurm that this machine has not."""
    return [name for name in _PROGRAMS if _which(name) is None]


class Slurm:
    """A cluster of two nodes, up from `start` to `close`."""

    def __init__(self, folder: Path, *, remembers_s: int = 300) -> None:
        self.folder = folder
        self._remembers_s = remembers_s
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._log: IO[bytes] | None = None

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # munged asks that nobody else may write to the folders above its socket.
        self.folder.chmod(0o755)
        for name in ("state", "spool-n1", "spool-n2"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        controller, first, second = _free_ports(3)
        self.configuration.write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                user=getpass.getuser(),
                controller=controller,
                first=first,
                second=second,
                remembers=self._remembers_s,
            )
        )
        (self.folder / "gres.conf").write_text("Name=scratch Count=2\n")
        self._log = (self.folder / "daemons.log").open("ab")
        at = [f"--{name}={self.folder}/munge.{name.removesuffix('-file')}" for name in ("key-file", "pid-file")]
        at += [f"--socket={self.folder}/munge.sock", f"--log-file={self.folder}/munged.log"]
        self._begin("munged", "--foreground", "--force", *at, f"--seed-file={self.folder}/munge.seed")
        self._await(lambda: (self.folder / "munge.sock").exists(), "munged has no socket")
        self._begin("slurmctld", "-D", "-f", str(self.configuration))
        for node in ("n1", "n2"):
            self.start_node(node)
        self._await(self._idle, "the nodes are not idle")

    def start_node(self, node: str) -> None:
        self._begin("slurmd", "-D", "-f", str(self.configuration), "-N", node, key=node)

    def kill(self, name: str) -> None:
        """SIGKILL to "slurmctld" or a node's slurmd."""
        process = self._started.pop(name)
        process.kill()
        process.wait(10)

    def start_controller(self) -> None:
        self._begin("slurmctld", "-D", "-f", str(self.configuration))

    def ask(self, *command: str) -> str:
        """The answer of one of Slurm's commands."""
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, env=self._environment())
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def job(self, id: str) -> dict[str, object]:
        jobs = json.loads(self.ask("squeue", "--states=all", "--json"))["jobs"]
        return next(job for job in jobs if str(job["job_id"]) == id)

    def close(self) -> None:
        if self._started:
            subprocess.run(["scancel", "--user", getpass.getuser()], env=self._environment(), timeout=30, check=False)
        # Nodes first: they end their jobs' watchers.
        for name in sorted(self._started, key=lambda name: (name == "munged", name)):
            process = self._started[name]
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._started.clear()
        if self._log:
            self._log.close()

    def _idle(self) -> bool:
        ended = subprocess.run(
            ["sinfo", "--noheader", "-o", "%T %D"], capture_output=True, text=True, timeout=30, env=self._environment()
        )
        return ended.stdout.startswith("idle 2")

    def _begin(self, program: str, *arguments: str, key: str = "") -> None:
        path = _which(program)
        assert path, f"{program} is not installed"
        self._started[key or program] = subprocess.Popen(
            [path, *arguments], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=self._environment()
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.configuration)}

    def _await(self, true: object, otherwise: str) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not true():  # type: ignore[operator]
            assert time.monotonic() < until, f"{otherwise}: {(self.folder / 'daemons.log').read_text()[-2000:]}"
            time.sleep(0.05)


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
