"""What a process and all below it use."""

from __future__ import annotations

import subprocess
import sys

from partita.executors.memory import tree_figures

WORK = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "b = bytearray(50_000_000); print(1, flush=True); input()"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print("there", flush=True)
input()
child.communicate(b"\\n")
sum(range(3_000_000))
print("gone", flush=True)
input()
"""


def test_children_count_and_what_those_that_ended_have_used_stays() -> None:
    with subprocess.Popen([sys.executable, "-c", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdin is not None
        assert it.stdout is not None
        assert it.stdout.readline() == "there\n"
        rss, cpu_s = tree_figures(it.pid)
        it.stdin.write("\n")
        it.stdin.flush()
        assert it.stdout.readline() == "gone\n"
        rss_after, cpu_after = tree_figures(it.pid)
        assert rss > 60_000_000
        assert rss - rss_after > 50_000_000
        assert cpu_after > cpu_s > 0
        it.communicate("\n")
    assert tree_figures(it.pid) == (0, 0.0)
