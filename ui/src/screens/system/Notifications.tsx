/** What alarms now, by which rules it is told, and every message with what came of it. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { type Schema, send, useGet, usePages, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import { href } from "@/frame/address";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";

type Alert = Schema<"Alert">;
type Message = Schema<"Message">;
type Rule = Schema<"NotificationRule">;
type Channel = Schema<"Channel">;

const EXAMPLE = `ops = pt.slack("ops", url=pt.secret("SLACK_URL"))
pt.alert("broken", on="run.failed", to=ops)`;

export default function Notifications() {
  return (
    <>
      <Alerts />
      <Rules />
      <Messages />
    </>
  );
}

function Alerts() {
  const alerts = usePages("/api/v1/alerts", { query: { limit: 100 } }, { live: ["alert_", "message_"] });
  const columns: Column<Alert>[] = [
    { id: "subject", head: "About", cell: (row) => row.subject, value: (row) => row.subject, width: "26%" },
    {
      id: "message",
      head: "What",
      cell: (row) => <span title={row.message}>{row.message}</span>,
      value: (row) => row.message,
    },
    {
      id: "rule",
      head: "Rule",
      cell: (row) => row.rule,
      value: (row) => row.rule,
      width: "140px",
      wide: true,
    },
    {
      id: "since",
      head: "Since",
      cell: (row) => <When at={row.since} />,
      value: (row) => row.since,
      width: "110px",
    },
    {
      id: "run",
      head: "Run",
      cell: (row) => (row.run ? <To to={href(["runs", row.run])}>open</To> : "–"),
      width: "70px",
    },
  ];
  return (
    <Section title="What alarms now">
      <Loaded query={{ ...alerts, data: alerts.data && alerts.items }}>
        {(items) => (
          <Table
            name="alerts"
            columns={columns}
            rows={items}
            rowKey={(row) => `${row.rule} ${row.subject}`}
            noKeys
            more={alerts.more}
            hasMore={alerts.hasMore}
            empty={<p className="dim">Nothing alarms.</p>}
          />
        )}
      </Loaded>
    </Section>
  );
}

function Rules() {
  const rules = useGet("/api/v1/notification-rules", {}, { live: ["project_", "version_"] });
  const columns: Column<Rule>[] = [
    { id: "name", head: "Rule", cell: (row) => row.name, value: (row) => row.name, width: "20%" },
    { id: "on", head: "Listens to", cell: (row) => row.on.join(", "), value: (row) => row.on.join(" ") },
    {
      id: "subjects",
      head: "Of",
      cell: (row) => row.subjects || "all",
      value: (row) => row.subjects,
      width: "20%",
      wide: true,
    },
    {
      id: "to",
      head: "Tells",
      cell: (row) => row.to.join(", "),
      value: (row) => row.to.join(" "),
      width: "16%",
    },
    {
      id: "at",
      head: "Written at",
      cell: (row) => <code>{row.written_at}</code>,
      value: (row) => row.written_at,
      width: "180px",
      wide: true,
    },
  ];
  return (
    <Section title="Rules and channels">
      <Loaded query={rules}>
        {(found) => (
          <>
            <Table
              name="rules"
              columns={columns}
              rows={found.rules}
              rowKey={(row) => `${row.project} ${row.name}`}
              noKeys
              empty={
                <Empty title="Nobody is told of anything yet" code={EXAMPLE}>
                  A rule says what is told, and to which channel: one message for a cause, and one when it is
                  over.
                </Empty>
              }
            />
            {found.channels.length > 0 && <Channels items={found.channels} />}
          </>
        )}
      </Loaded>
    </Section>
  );
}

function Channels({ items }: { items: Channel[] }) {
  const columns: Column<Channel>[] = [
    { id: "name", head: "Channel", cell: (row) => row.name, value: (row) => row.name, width: "20%" },
    { id: "of", head: "Kind", cell: (row) => row.of, value: (row) => row.of, width: "140px" },
    { id: "project", head: "Project", cell: (row) => row.project, value: (row) => row.project, width: "20%" },
    { id: "test", head: "Test", cell: (row) => <TestChannel of={row} /> },
  ];
  return (
    <Table
      name="channels"
      columns={columns}
      rows={items}
      rowKey={(row) => `${row.project} ${row.name}`}
      noKeys
    />
  );
}

function TestChannel({ of }: { of: Channel }) {
  const may = useMay("operate", of.namespace);
  const [busy, setBusy] = useState(false);
  const [said, say] = useState<{ error: string; answer: string } | null>(null);
  const [failed, fail] = useState<unknown>(null);
  const test = async () => {
    setBusy(true);
    fail(null);
    try {
      say(
        await send("post", "/api/v1/projects/{project}/channels/{channel}/test", {
          path: { project: of.project, channel: of.name },
        }),
      );
    } catch (problem) {
      fail(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <span style={{ display: "inline-flex", gap: 10, alignItems: "center" }}>
      <Button
        onClick={() => void test()}
        loading={busy}
        disabled={!may}
        title={may ? undefined : "This needs the permission `operate`"}
      >
        Send a test
      </Button>
      {said &&
        (said.error ? (
          <State state="failed" more={said.error} />
        ) : (
          <State state="succeeded" more={said.answer} />
        ))}
      {failed !== null && <Trouble error={failed} />}
    </span>
  );
}

function Messages() {
  const messages = usePages("/api/v1/notifications", { query: { limit: 50 } }, { live: ["message_"] });
  const again = useSend("post", "/api/v1/notifications/{key}/retry");
  const columns: Column<Message>[] = [
    { id: "at", head: "When", cell: (row) => <When at={row.at} />, value: (row) => row.at, width: "110px" },
    { id: "topic", head: "About", cell: (row) => row.topic, value: (row) => row.topic },
    {
      id: "rule",
      head: "Rule",
      cell: (row) => row.rule,
      value: (row) => row.rule,
      width: "140px",
      wide: true,
    },
    { id: "channel", head: "To", cell: (row) => row.channel, value: (row) => row.channel, width: "120px" },
    {
      id: "state",
      head: "What came of it",
      cell: (row) => <Outcome of={row} />,
      value: (row) => row.sent_at ?? row.error,
      width: "260px",
    },
    {
      id: "again",
      head: <span className="visually-hidden">Again</span>,
      cell: (row) =>
        row.sent_at ? null : (
          <Button
            onClick={() => again.mutate({ path: { key: row.key } })}
            aria-label={`send ${row.topic} again`}
          >
            Send
          </Button>
        ),
      width: "80px",
    },
  ];
  return (
    <Section title="Messages">
      {again.error && <Trouble error={again.error} />}
      <Loaded query={{ ...messages, data: messages.data && messages.items }}>
        {(items) => (
          <Table
            name="messages"
            columns={columns}
            rows={items}
            rowKey={(row) => String(row.no)}
            more={messages.more}
            hasMore={messages.hasMore}
            empty={<p className="dim">No message was made yet.</p>}
          />
        )}
      </Loaded>
    </Section>
  );
}

function Outcome({ of }: { of: Message }) {
  if (of.sent_at) return <State state="succeeded" more={<When at={of.sent_at} />} />;
  if (of.next_at === null)
    return <State state="failed" more={`given up after ${of.tries}: ${of.error}`} reason={of.error} />;
  if (of.tries > 0)
    return (
      <State
        state="retrying"
        reason={of.error}
        more={
          <>
            <When at={of.next_at} />, {of.error}
          </>
        }
      />
    );
  return <State state="waiting" more={<When at={of.next_at} />} />;
}
