"""Notifications: the outbox, what is alarming now, and a test message."""

from __future__ import annotations

import msgspec

from partita.engine.notify import RetryMessage, Sent, TestChannel
from partita.server import examples, objects
from partita.server.calling import Call, Cursor, Limit, Name, page_of
from partita.server.objects import Instant, Page
from partita.server.problems import not_found
from partita.server.routing import route
from partita.store import messages as rows


class Message(msgspec.Struct, frozen=True):
    """A message of the outbox. `next_at` null: it was sent (`sent_at`), or given up (`error`)."""

    no: int
    key: str
    namespace: str
    rule: str
    channel: str
    topic: str
    at: Instant | None
    tries: int
    next_at: Instant | None
    sent_at: Instant | None
    error: str


class Alert(msgspec.Struct, frozen=True):
    """A cause for alarm that is not over."""

    namespace: str
    rule: str
    subject: str
    since: Instant | None
    message: str
    run: str


class SentNow(msgspec.Struct, frozen=True):
    """What came of it; `error` is empty when it went out."""

    answer: str
    error: str


class NotificationRule(msgspec.Struct, frozen=True):
    """A rule as its project declares it: what it listens to, for which subjects ("" = all), and to which channels it tells."""

    project: str
    namespace: str
    name: str
    on: list[str]
    to: list[str]
    subjects: str
    written_at: str


class Channel(msgspec.Struct, frozen=True):
    """Where notifications can go. What it needs of secrets is named in the project and never shown."""

    project: str
    namespace: str
    name: str
    of: str


class NotificationRules(msgspec.Struct, frozen=True):
    """All rules and channels of the projects that are served."""

    rules: list[NotificationRule]
    channels: list[Channel]


_MESSAGE = Message(
    7,
    "failed:01932f5e",
    "default",
    "team",
    "slack",
    "run:nightly",
    "2026-11-22T03:04:11.500Z",
    1,
    None,
    "2026-11-22T03:04:12.000Z",
    "",
)


@route(
    "GET",
    "/notifications",
    permission="view",
    summary="The outbox, newest first",
    errors=(422,),
    example=Page([_MESSAGE]),
)
def notifications(call: Call, limit: Limit = 50, cursor: Cursor = "") -> Page[Message]:
    return call.page(
        lambda before, count: rows.messages(call.reader, before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=lambda row: objects.shaped(Message, row),
        namespace_of=lambda row: row.namespace,
    )


@route(
    "GET",
    "/alerts",
    permission="view",
    summary="What is alarming now, the oldest first",
    errors=(422,),
    example=Page([Alert("default", "team", "run:nightly", "2026-11-22T03:04:11.500Z", "load failed", examples.RUN.id)]),
)
def alerts(call: Call, limit: Limit = 100, cursor: Cursor = "") -> Page[Alert]:
    found = call.visible(rows.alerts(call.reader), lambda row: row.namespace)
    return page_of([objects.shaped(Alert, row) for row in found], cursor, limit)


@route(
    "GET",
    "/notification-rules",
    permission="view",
    summary="The rules by which is told, and the channels to which",
    example=NotificationRules(
        [NotificationRule("shop", "default", "team", ["run.failed"], ["slack"], "", "pipelines.py:12")],
        [Channel("shop", "default", "slack", "slack")],
    ),
)
def rules(call: Call) -> NotificationRules:
    seen = call.visible(call.catalog.manifests.values(), lambda manifest: manifest.namespace)
    return NotificationRules(
        [
            NotificationRule(
                m.project, m.namespace, rule.name, list(rule.on), list(rule.to), rule.subjects, rule.written_at
            )
            for m in seen
            for rule in m.alerts
        ],
        [Channel(m.project, m.namespace, channel.name, channel.of) for m in seen for channel in m.channels],
    )


@route(
    "POST",
    "/notifications/{key}/retry",
    permission="operate",
    summary="Send a message of the outbox (again) now",
    errors=(404,),
    example=SentNow("ok", ""),
)
def retry(call: Call, key: Name) -> SentNow:
    row = rows.message(call.reader, key)
    if row is None:
        raise not_found("message", key)
    call.require(row.namespace, "message", key)
    request = RetryMessage(row.key, call.principal.name)
    return objects.shaped(SentNow, call.change(request, Sent, namespace=row.namespace, object=f"message:{row.no}"))


@route(
    "POST",
    "/projects/{project}/channels/{channel}/test",
    permission="operate",
    summary="Send a test message to a channel now",
    errors=(404, 422),
    example=SentNow("ok", ""),
)
def test(call: Call, project: Name, channel: Name) -> SentNow:
    manifest = call.catalog.manifests.get(project)
    if manifest is None:
        raise not_found("project", project)
    call.require(manifest.namespace, "project", project)
    if all(known.name != channel for known in manifest.channels):
        raise not_found("channel", channel)
    request = TestChannel(channel, call.principal.name, project)
    object_name = f"channel:{channel}"
    return objects.shaped(SentNow, call.change(request, Sent, namespace=manifest.namespace, object=object_name))
