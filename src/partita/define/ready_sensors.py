"""The ready-made sensors: files, objects, HTTP, SQL, webhooks, ends of runs, updates of assets, absence.

Rule: each is its options, checked; how it looks is in `worker/looking.py`, under the same kind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from partita.core.manifest import ScheduleSpec
from partita.define.durations import Duration
from partita.define.recording import forgiving
from partita.define.secret import Secret
from partita.define.secret import secret as mentioned
from partita.define.sensor import (
    SECRET_IN_TEXT,
    SensorDef,
    Target,
    broken_sensor,
    duration_of,
    ready_made,
    several,
    target_name,
)
from partita.define.where import wrong


def file_sensor(
    name: str,
    path: str,
    *,
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    settle: Duration = "2s",
    changed: bool = True,
    existing: bool = True,
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """One run for each new file under a glob pattern: `{path}`, `{name}`, `{stem}`, `{size}`, `{modified_at}`.

    A file counts when it has not changed for `settle`; one that changes later counts again, unless `changed=False`.
    `existing=False` passes over what is there already at the first look. `batch=100` makes one run of up to 100 files,
    whose fields are lists then.

        pt.file_sensor("arrivals", "inbox/*.csv", start=load, params={"file": "{path}"})
    """
    options = {"path": path, "params": params, "partition": partition, "changed": changed, "existing": existing}
    return ready_made(name, "file", start, options, common, batch=batch, settle=settle)


def object_sensor(
    name: str,
    url: str,
    *,
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    settle: Duration = 0,
    changed: bool = True,
    existing: bool = True,
    batch: int = 1,
    options: Mapping[str, Any] | None = None,
    **common: Any,
) -> SensorDef:
    """The same for objects under a URL with a glob pattern. Needs fsspec (its `options` are passed on) or obstore.

    pt.object_sensor("dumps", "s3://exports/day=*/part-*.parquet", start=load, params={"file": "{path}"})
    """
    given = {"url": url, "params": params, "partition": partition, "changed": changed, "existing": existing}
    return ready_made(
        name, "object", start, {**given, "options": dict(options or {})}, common, batch=batch, settle=settle
    )


def http_sensor(
    name: str,
    url: str,
    *,
    start: Target | Sequence[Target] = (),
    status: int | Sequence[int] = 200,
    json: Mapping[str, Any] | None = None,
    contains: str = "",
    when: Callable[[Any], object] | None = None,
    each_change: bool = False,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str = "",
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    **common: Any,
) -> SensorDef:
    """A run when a server's answer becomes the wanted one: by status, values in its JSON, a text, or a function.

    With `each_change` also whenever the answer is another one while it is wanted. Fields: `{status}`, `{json}`, `{text}`.
    Headers may name secrets: `{"Authorization": "Bearer {secret:EXPORT_TOKEN}"}`.

        pt.http_sensor("export_ready", "https://example.com/export", json={"job.state": "done"}, start=load)
    """
    options = {
        "url": url,
        "status": list(status) if isinstance(status, list | tuple) else [status],
        "json": dict(json or {}),
        "contains": contains,
        "when": when,
        "each_change": each_change,
        "method": method,
        "headers": dict(headers or {}),
        "body": body or None,
        "params": params,
        "partition": partition,
    }

    def check() -> None:
        for value in (headers or {}).values():
            for found in SECRET_IN_TEXT.finditer(value):
                mentioned(found[1])

    return ready_made(name, "http", start, options, common, check=check)


def sql_sensor(
    name: str,
    query: str,
    *,
    connect: str | Callable[[], Any],
    start: Target | Sequence[Target] = (),
    cursor: str = "",
    since: Any = None,
    each_change: bool = False,
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """Rows of a database as runs. `connect`: "sqlite:///file.db", or a function that returns a DB-API connection.

    With `cursor` (a column) each row is an event, and the query is given the last one as `:cursor` (or `%(cursor)s`, `?`),
    `since` at first. Without, there is a run when the first column of the first row becomes true. Fields: the columns.

        pt.sql_sensor("orders", "SELECT id, region FROM orders WHERE id > :cursor ORDER BY id",
                      connect="sqlite:///shop.db", cursor="id", since=0, start=load, params={"order": "{id}"})
    """
    options = {
        "query": query,
        "connect_call" if callable(connect) else "connect": connect,
        "cursor": cursor,
        "since": since,
        "each_change": each_change,
        "params": params,
        "partition": partition,
    }
    return ready_made(name, "sql", start, options, common, batch=batch)


def webhook(
    name: str,
    *,
    start: Target | Sequence[Target] = (),
    secret: str | Secret = "",
    unsigned: bool = False,
    header: str = "X-Hub-Signature-256",
    signed: str = "{body}",
    timestamp_header: str = "",
    tolerance: Duration = "5m",
    delivery_header: str = "",
    max_bytes: int = 1 << 20,
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """Runs for what another system posts to `/hooks/<namespace>/<name>`, signed with HMAC-SHA256 over the raw bytes.

    `secret` is the name of the secret. The signature stands in `header`, hexadecimal or base64, also after "sha256=" or "v1=".
    `signed="{timestamp}.{body}"` with a `timestamp_header` refuses what is older than `tolerance`. A delivery whose id
    (`delivery_header`; usual ones are known) came before is answered and makes no run. Fields: `{body}` (JSON, or text),
    `{delivery}`, and those of a JSON object; without `params` those that are parameters of the pipeline are passed.

        pt.webhook("pushes", secret="GITHUB_WEBHOOK", start=deploy, params={"ref": "{ref}"})
    """

    signed_with = secret.name if isinstance(secret, Secret) else secret

    def check() -> None:
        if signed_with:
            mentioned(signed_with)
        if not signed_with and not unsigned:
            raise wrong(
                f"webhook `{name}` has no secret, so anybody could start its runs",
                hint='name one: secret="GITHUB_WEBHOOK"; or say unsigned=True where nobody else reaches it',
            )
        if "{body}" not in signed or ("{timestamp}" in signed and not timestamp_header):
            raise wrong(
                f"webhook `{name}`: what is signed must contain {{body}}, and {{timestamp}} needs a timestamp_header",
                hint='write signed="{timestamp}.{body}", timestamp_header="X-Timestamp"',
            )
        if not isinstance(max_bytes, int) or not 0 < max_bytes <= 32 << 20:
            raise wrong(f"webhook `{name}`: max_bytes must be from 1 to 32 MiB, not {max_bytes!r}")

    options = {
        "secret": signed_with,
        "header": header,
        "signed": signed,
        "timestamp_header": timestamp_header,
        "delivery_header": delivery_header,
        "max_bytes": max_bytes,
        "params": params,
        "partition": partition,
    }
    return ready_made(name, "webhook", start, options, common, batch=batch, check=check, tolerance=tolerance)


_STATES = ("succeeded", "failed", "cancelled")


def on_run(
    name: str,
    pipelines: Target | Sequence[Target] = (),
    *,
    states: str | Sequence[str] = "succeeded",
    tags: str | Sequence[str] = (),
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """A run when a run of other pipelines (all, if none is named) ends in one of the `states`.

    Fields: `{run}`, `{no}`, `{pipeline}`, `{state}`, `{partition}`, `{by}`. Nothing is polled.

        pt.on_run("after_load", load, start=publish)
        pt.on_run("clean_up", [load, train], states="failed", start=tidy, params={"of": "{run}"})
    """
    wanted = _words(states)

    def check() -> None:
        for state in wanted:
            if state not in _STATES:
                raise wrong(f"sensor `{name}`: runs do not end {state!r}", hint=f"they end {', '.join(_STATES)}")

    options = {
        "pipelines": [target_name(t) for t in several(pipelines)],
        "states": wanted,
        "tags": _words(tags),
        "params": params,
        "partition": partition,
    }
    return ready_made(name, "run_end", start, options, common, batch=batch, check=check)


class Updates:
    """A condition over updates of assets, joined by `&` and `|`: made by `pt.updated`."""

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    def __and__(self, other: Any) -> Updates:
        return Updates(["all", self.condition, _updates(other).condition])

    def __or__(self, other: Any) -> Updates:
        return Updates(["any", self.condition, _updates(other).condition])


def updated(asset: Any) -> Updates:
    """An asset was made anew, for the condition of `pt.on_assets`.

    >>> (updated("orders") & (updated("eu") | updated("us"))).condition
    ['all', 'orders', ['any', 'eu', 'us']]
    """
    name = asset if isinstance(asset, str) else getattr(asset, "name", None)
    if not isinstance(name, str) or not name:
        raise wrong(f"{asset!r} is no asset and no name of one")
    return Updates(name)


def _updates(value: Any) -> Updates:
    return value if isinstance(value, Updates) else updated(value)


def on_assets(
    name: str,
    condition: Any,
    *,
    start: Target | Sequence[Target] = (),
    by_partition: bool = False,
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    **common: Any,
) -> SensorDef:
    """A run when assets were updated since the last time: `pt.updated(orders) & (pt.updated(eu) | pt.updated(us))`.

    With `by_partition` the condition holds for each partition on its own, and the run has that partition. Fields:
    `{assets}`, `{partition}`.

        pt.on_assets("report", pt.updated(orders) & pt.updated(customers), start=report)
    """

    def made() -> SensorDef:
        options = {
            "condition": _updates(condition).condition,
            "by_partition": by_partition,
            "params": params,
            "partition": partition or ("{partition}" if by_partition else ""),
        }
        return ready_made(name, "asset", start, options, common)

    return forgiving(made, lambda error: broken_sensor(name, error))


def absent(
    name: str,
    *,
    by: str | ScheduleSpec,
    file: str = "",
    run: Target = None,
    asset: Any = None,
    within: Duration | None = None,
    tz: str = "UTC",
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    **common: Any,
) -> SensorDef:
    """A run when something has not happened by a time: no new file, no successful run, no update of an asset.

    `by` is "07:00" (in `tz`) or a schedule; it counts what came since the time before, or `within` so long before it.
    Fields: `{what}`, `{by}`, `{since}`.

        pt.absent("no_delivery", by="07:00", tz="Europe/Berlin", file="inbox/*.csv", start=call_the_supplier)
    """

    def made() -> SensorDef:
        given = [what for what in (file, run, asset) if what is not None and what != ""]
        if len(given) != 1:
            raise wrong(f"sensor `{name}` needs one of file=, run=, asset=", hint='write file="inbox/*.csv"')
        schedule = _times(name, by, tz)
        options = {
            "rule": schedule.rule,
            "tz": schedule.tz,
            "file": file,
            "run": target_name(run) if run is not None else "",
            "asset": updated(asset).condition if asset is not None else "",
            "within_s": None if within is None else duration_of(name, "within", within),
            "params": params,
        }
        return ready_made(name, "absence", start, options, common)

    return forgiving(made, lambda error: broken_sensor(name, error))


def _times(name: str, by: Any, tz: str) -> ScheduleSpec:
    from partita.define.schedule import cron

    if isinstance(by, ScheduleSpec):
        return by
    try:
        hour, minute = (int(part) for part in str(by).split(":"))
        dt.time(hour, minute)
    except ValueError:
        raise wrong(
            f"sensor `{name}`: {by!r} is no time", hint='write by="07:00", or by=pt.cron("0 7 * * 1-5")'
        ) from None
    return cron(f"{minute} {hour} * * *", tz=tz)


def _words(value: Any) -> list[str]:
    return [str(item) for item in several(value)]
