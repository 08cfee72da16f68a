"""The process executor does what every executor must do."""

from __future__ import annotations

from partita.executors.conformance import Answers, Coroutines, Deaths, Kills, Logs


class TestAnswers(Answers):
    pass


class TestCoroutines(Coroutines):
    pass


class TestKills(Kills):
    pass


class TestDeaths(Deaths):
    pass


class TestLogs(Logs):
    pass
