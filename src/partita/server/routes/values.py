"""What a step was given and what it gave, as far as it can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from partita.core.graph import Param, Stored, steps_read
from partita.core.inputs import Inputs
from partita.core.plan import Instance, path_of
from partita.core.values import Input, Whole
from partita.engine.stored import stored_input, stored_value
from partita.server import examples
from partita.server.calling import Call, Name, Raw
from partita.server.problems import not_found
from partita.server.remembering import machine
from partita.server.routing import route
from partita.server.secrecy import mask_of
from partita.server.showing import Preview, Shower
from partita.store import versions
from partita.store.contract import RunRow
from partita.values.object_blobs import blobs_of

Index = Annotated[str, msgspec.Meta(max_length=100, pattern=r"^([0-9]+(\.[0-9]+)*)?$")]
Argument = Annotated[str, msgspec.Meta(max_length=500, description='An argument; "" = what the step gave')]


class StepValues(msgspec.Struct, frozen=True):
    """What a step instance is given (assets as they are stored now), and what it gave (null: nothing yet)."""

    run: str
    step: str
    index: str
    inputs: list[Preview]
    output: Preview | None


_EXAMPLE = StepValues(
    examples.RUN.id,
    "load",
    "",
    [Preview("rows", "json", codec="plain", size=2, of=["extract"], value=[{"id": 1}])],
    Preview("load", "json", codec="plain", size=1, value=1),
)


@route(
    "GET",
    "/runs/{run}/steps/{step}/values",
    permission="log.read",
    summary="What a step is given and what it gave: plain data, tables, images, or a description",
    errors=(404, 422),
    example=_EXAMPLE,
)
def values(call: Call, run: Name, step: Name, index: Index = "") -> StepValues:
    row = call.run(run)
    look = _Look(call, row, step, index)
    inputs = [look.shower.shown(name, given, of) for name, given, of in look.inputs()]
    return StepValues(row.id, step, index, inputs, look.output())


@route(
    "GET",
    "/runs/{run}/steps/{step}/value/image",
    permission="log.read",
    summary="A value of a step that is an image (bytes of a PNG, JPEG, GIF or WebP file)",
    errors=(404, 422),
    media="image/png",
    example="the bytes of the image",
)
def image(call: Call, run: Name, step: Name, index: Index = "", argument: Argument = "") -> Raw:
    look = _Look(call, call.run(run), step, index)
    given = look.given(argument)
    found = look.shower.image(given) if given is not None else None
    if found is None:
        raise not_found("image", argument or step)
    body, media = found
    # Nothing in it may run, wherever it is opened.
    return Raw(body, media, (("content-security-policy", "default-src 'none'; sandbox"),))


class _Look:
    """One step instance of a run, looked at."""

    def __init__(self, call: Call, row: RunRow, step: str, index: str) -> None:
        self._call = call
        self._machine = machine(call.reader, row)
        node = self._machine.plan.nodes.get(step)
        instance = node.instances.get(path_of(index)) if node is not None else None
        if node is None or (instance is None and index):
            raise not_found("step", f"{step}[{index}]" if index else step)
        self._instance: Instance | None = instance
        project = versions.project(call.reader, row.project)
        folder = Path(project.folder) if project is not None else None
        mask = mask_of(call.settings.home, call.catalog.manifests.get(row.project))
        self.shower = Shower(blobs_of(call.settings.home), folder, mask)

    def inputs(self) -> Iterator[tuple[str, Input, list[str]]]:
        """Its arguments with what they come from. Of a mapped step as a whole there are none."""
        instance = self._instance
        if instance is None:
            return
        reader, created = self._call.reader, self._machine.run
        found = Inputs(
            self._machine,
            lambda asset: stored_value(reader, created, asset),
            mapped=lambda binding: stored_input(reader, created, binding),
        )
        for name, binding in instance.node.step.args:
            of = list(steps_read(binding))
            if isinstance(binding, Stored):
                of = [binding.asset]
            elif isinstance(binding, Param):
                of = [f"parameter {binding.name}"]
            yield name, found.one(instance, binding), of

    def output(self) -> Preview | None:
        """What it gave; None if it has given nothing."""
        given = self.given("")
        return None if given is None or self._instance is None else self.shower.shown(self._instance.node.key, given)

    def given(self, argument: str) -> Input | None:
        """The value of an argument, or the result."""
        if argument:
            return next((given for name, given, _ in self.inputs() if name == argument), None)
        instance = self._instance
        if instance is None or instance.value is None:
            return None
        return Whole(instance.value)
