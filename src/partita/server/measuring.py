"""What the server counts of itself, and metrics as Prometheus reads them.

Rule: numbers only. No name of a user's is a label, so whoever may read metrics learns no names.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable, Mapping

import msgspec

_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metric(msgspec.Struct, frozen=True):
    """One family of metrics: samples are (suffix of the name, labels, value)."""

    name: str
    kind: str
    help: str
    samples: tuple[tuple[str, Mapping[str, str], float], ...]


class Measurements:
    """Requests by route and status, and how long they took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, int], int] = {}
        self._buckets = [0] * (len(_BOUNDS_S) + 1)
        self._sum_s = 0.0

    def answered(self, route: str, status: int, took_s: float) -> None:
        """A request was answered."""
        with self._lock:
            self._requests[route, status] = self._requests.get((route, status), 0) + 1
            self._buckets[bisect.bisect_left(_BOUNDS_S, took_s)] += 1
            self._sum_s += took_s

    def metrics(self) -> list[Metric]:
        """What was counted."""
        with self._lock:
            requests = sorted(self._requests.items())
            buckets = list(self._buckets)
            total_s = self._sum_s
        samples: list[tuple[str, Mapping[str, str], float]] = []
        count = 0
        for bound, number in zip((*_BOUNDS_S, float("inf")), buckets, strict=True):
            count += number
            samples.append(("_bucket", {"le": "+Inf" if bound == float("inf") else repr(bound)}, count))
        samples += [("_sum", {}, total_s), ("_count", {}, count)]
        by_route: tuple[tuple[str, Mapping[str, str], float], ...] = tuple(
            ("", {"route": route, "status": str(status)}, number) for (route, status), number in requests
        )
        return [
            Metric("partita_http_requests_total", "counter", "Requests by route and status", by_route),
            Metric("partita_http_request_seconds", "histogram", "How long requests took", tuple(samples)),
        ]


def gauge(name: str, help: str, value: float) -> Metric:
    """A single number."""
    return Metric(name, "gauge", help, (("", {}, value),))


def exposition(metrics: Iterable[Metric]) -> str:
    """The text format of Prometheus (0.0.4).

    >>> print(exposition([gauge("partita_up", "Whether the engine answers", 1)]), end="")
    # HELP partita_up Whether the engine answers
    # TYPE partita_up gauge
    partita_up 1
    """
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for suffix, labels, value in metric.samples:
            told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            number = int(value) if float(value).is_integer() else value
            lines.append(f"{metric.name}{suffix}{{{told}}} {number}" if told else f"{metric.name}{suffix} {number}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
