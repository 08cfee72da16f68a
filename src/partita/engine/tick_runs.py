"""The runs that ticks make: what is asked for at an instant, and how long before it.

Rule: nothing is made and nothing recorded here (`ticker.py` does both).
"""

from __future__ import annotations

from partita.core import scheduling
from partita.core.manifest import PartitionSpec, PipelineSpec
from partita.core.partitions import window
from partita.engine.catalog import Catalog
from partita.engine.submission import RunRequest, partitions_of
from partita.errors import DefinitionError
from partita.store.named import Fetching
from partita.store.schedules import ScheduleRow, usual_of


class TickRuns:
    """Asks the catalog for what a schedule starts, and the store how long that usually takes."""

    def __init__(self, store: Fetching, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        # Usual durations of pipelines, until a run of theirs has ended.
        self._usual: dict[str, float] = {}
        self._pipelines: dict[tuple[str, str], PipelineSpec] = {}
        self._generation = -1

    def request(self, row: ScheduleRow, instant: int, origin: str, by: str = "") -> RunRequest:
        """The run that a schedule wants at an instant. Raises `DefinitionError`."""
        pipeline = self._pipeline(row)
        defaults = {p.name: p.default for p in pipeline.params if p.default is not None}
        return RunRequest(
            target=f"{row.project}/{row.pipeline}",
            by=by or f"schedule {row.name}",
            origin=origin,
            params={**defaults, **row.spec.given()},
            partition=scheduling.partition_of(row.spec.partition, self._partitions(row, pipeline), instant),
        )

    def lead(self, row: ScheduleRow, instant: int) -> float:
        """How long before an instant its run starts: its usual duration and the margin, but not before its data is whole."""
        if not row.spec.land:
            return 0.0
        usual = self._usual.get(row.pipeline)
        if usual is None:
            usual = self._usual[row.pipeline] = usual_of(self._store, row.pipeline)[1]
        lead = usual + row.spec.land_margin_s
        try:
            spec = self._partitions(row, self._pipeline(row))
            partition = scheduling.partition_of(row.spec.partition, spec, instant)
            if spec is not None and partition:
                return max(0.0, min(lead, instant - window(spec, partition)[1].timestamp()))
        except DefinitionError:
            pass  # it covers no time, or there is none: that is said when the run is to be made
        return lead

    def has_ended(self, pipeline: str) -> None:
        """A run of a pipeline has ended well: how long it usually takes is to be asked again."""
        self._usual.pop(pipeline, None)

    def _partitions(self, row: ScheduleRow, pipeline: PipelineSpec) -> PartitionSpec | None:
        return partitions_of(pipeline, pipeline.graph, self._catalog.manifests[row.project])

    def _pipeline(self, row: ScheduleRow) -> PipelineSpec:
        if self._generation != self._catalog.generation:
            self._generation = self._catalog.generation
            self._pipelines = {
                (project, p.name): p for project, m in self._catalog.manifests.items() for p in m.pipelines
            }
        found = self._pipelines.get((row.project, row.pipeline))
        if found is None:
            raise DefinitionError(f"project {row.project} has no pipeline {row.pipeline!r} now")
        return found
