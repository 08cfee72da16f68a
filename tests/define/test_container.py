"""Containers as written: a step like any other, and what cannot be is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

import partita as pt
from partita.core.plain import unpack
from partita.errors import DefinitionError

from .building import args_of, graph_of, steps_of


def test_it_is_a_step_with_its_own_kind_and_inputs_from_others() -> None:
    @pt.task
    def extract() -> list[int]:
        return [1]

    @pt.pipeline
    def nightly(region: str = "eu"):
        rows = extract()
        made = pt.container(
            "ghcr.io/acme/load:1.2",
            ["load", "--region", region],
            inputs={"/in/rows.json": rows},
            outputs={"report": "/out/report.json"},
            options={"memory": "1GiB", "cpu": 2, "retries": 1},
        )
        pt.shell("echo {n}", n=made["report"])

    graph = graph_of(nightly)
    step = steps_of(graph)["load"]
    assert (step.kind, step.needs) == ("container", ("extract",))
    assert (step.policies.cpu, step.policies.memory_bytes) == (2.0, 1 << 30)
    limits: Any = args_of(step)["limits"]
    assert unpack(limits.data) == {"cpu": 2.0, "gpu": 0.0, "grace_s": 10.0}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"command": "wc -l"}, "must be a list of arguments"),
        ({"image": ""}, "is no image"),
        ({"image": "--privileged"}, "is no image"),
        ({"pull": "sometimes"}, "there is no pull 'sometimes'"),
        ({"result": "all"}, "there is no result 'all'"),
        ({"env": {"A-B": "1"}}, "is no name of an environment variable"),
        ({"inputs": {"in/a": "x"}}, "cannot be the place of an input"),
        ({"inputs": {"/a.txt": "x"}}, "cannot be the place of an input"),
        ({"inputs": {"/in/../a": "x"}}, "cannot be the place of an input"),
        ({"outputs": {"a": "/out:/etc/x"}}, "cannot be the place of an output"),
        ({"outputs": {"a b": "/out/x"}}, "an output:"),
        ({"volumes": {"/data": "data"}}, "is no volume"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_written(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        pt.container(**{"image": "busy:1", "command": ["true"], **arguments})
