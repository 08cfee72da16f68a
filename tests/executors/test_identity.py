"""Names of processes that stay right."""

from __future__ import annotations

import os
import subprocess
import sys

from partita.executors.identity import is_alive, name_of, pid_of


def test_a_living_process_has_a_name_that_leads_back_to_it() -> None:
    name = name_of(os.getpid())
    assert name is not None
    assert pid_of(name) == os.getpid()
    assert is_alive(name)
    assert name_of(os.getpid()) == name


def test_an_ended_process_is_dead_also_before_anybody_has_waited_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = name_of(process.pid)
        assert is_alive(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(name)
    assert not is_alive(name)


def test_another_process_with_the_same_pid_is_not_the_same() -> None:
    name = name_of(os.getpid())
    assert name is not None
    head, _, began = name.rpartition(":")
    assert not is_alive(f"{head}:1{began}")


def test_a_process_of_another_machine_is_not_ours_to_watch() -> None:
    name = name_of(os.getpid())
    assert name is not None
    assert pid_of("elsewhere:" + name.partition(":")[2]) is None
    assert not is_alive("elsewhere:" + name.partition(":")[2])


def test_nonsense_names_nobody() -> None:
    assert pid_of("") is None
    assert pid_of("sim") is None
    assert not is_alive(None)
