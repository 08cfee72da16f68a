"""`partita notifications`: what was told to whom, what is still to be told, and trying a channel.

Rule: reading is from the store; sending is the service's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.asking import answer_of_service
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.cli.words import ago
from partita.errors import DefinitionError, WorldError

if TYPE_CHECKING:
    from partita.settings import Settings


def notifications(
    limit: Annotated[int, Option(("--limit",), "At most so many", "N", least=1)] = 20,
    before: Annotated[int, Option(("--before",), "Only older ones than this message", "NO", least=0)] = 0,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List messages, newest first, and causes for alarm that are not over."""
    import msgspec

    from partita.core.alerts import Message
    from partita.store.messages import alerts, messages

    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    rows = messages(reader, before_no=before or None, limit=limit)
    open_alerts = alerts(reader)
    titles = {row.no: msgspec.msgpack.decode(row.payload, type=Message).title for row in rows}
    if json:
        told = [
            {**{k: v for k, v in msgspec.structs.asdict(row).items() if k != "payload"}, "title": titles[row.no]}
            for row in rows
        ]
        terminal.print_json({"alerts": [msgspec.structs.asdict(a) for a in open_alerts], "messages": told})
        return 0
    now = time.time()
    for alert in open_alerts:
        terminal.out().line(("▲ ", "amber"), alert.message, (f"  {ago(alert.since, now)}, rule {alert.rule}", "dim"))
    if not rows:
        terminal.note("no message was written yet")
        if not any(manifest.alerts for manifest in reader.manifests()):
            terminal.hint(
                'declare a rule: pt.alert("ops", on="run.failed", to=pt.slack("ops", url=pt.secret("SLACK_URL")))'
            )
        return 0
    columns = (
        Column("no", right=True), Column("message", flexible=True), Column("to"), Column("rule"), Column("when"),
        Column("state"),
    )  # fmt: skip
    print_table(
        terminal.out(),
        columns,
        [[str(row.no), titles[row.no], row.channel, row.rule, ago(row.at, now), _state(row, now)] for row in rows],
    )
    return 0


def notifications_test(
    channel: Annotated[str, Argument("CHANNEL", "The channel to try")],
    folder: options.Project = None,
) -> int:
    """Send a test message to a channel."""
    from partita.engine.notify import Sent, TestChannel

    settings = project.settings_of(folder)
    sent = answer_of_service(settings, TestChannel(channel, project.user_name()), Sent)
    if sent.error:
        raise WorldError(f"channel {channel} did not take the message: {sent.error}", hint="mend it, and try again")
    terminal.out().line(("✓ ", "green"), f"channel {channel}: {sent.answer}")
    return 0


def notifications_retry(
    message: Annotated[str, Argument("MESSAGE", "Its number in `partita notifications`, or its key")],
    folder: options.Project = None,
) -> int:
    """Send a message again."""
    from partita.engine.notify import RetryMessage, Sent

    settings = project.settings_of(folder)
    key = _key_of(settings, int(message)) if message.isdigit() else message
    answer_of_service(settings, RetryMessage(key, project.user_name()), Sent)
    terminal.out().line(("✓ ", "green"), "it is sent again now")
    return 0


def _key_of(settings: Settings, no: int) -> str:
    from partita.store.messages import messages

    found = messages(project.open_memory(settings), before_no=no + 1, limit=1)
    if not found or found[0].no != no:
        raise DefinitionError(f"there is no message {no}", hint="`partita notifications` lists them")
    return found[0].key


def _state(row: object, now: float) -> str:
    from partita.store.messages import MessageRow

    assert isinstance(row, MessageRow)
    if row.sent_at is not None:
        return "sent"
    if row.next_at is None:
        return f"given up after {row.tries} tries: {row.error}"
    if row.tries:
        return f"tried {row.tries} times: {row.error}"
    return "held back" if row.next_at > now else "waits"
