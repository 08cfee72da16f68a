/** What takes how much space, how long each kind is kept, what retention has removed. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { type Schema, send, useGet, usePages } from "@/api/client";
import { useMay } from "@/api/session";
import { Meter } from "@/parts/Bars";
import { Confirm } from "@/parts/Confirm";
import { bytes } from "@/parts/Metadata";
import { Section } from "@/parts/Page";
import { type Column, Table } from "@/parts/Table";
import { rough } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./System.module.css";

type Kept = Schema<"Kept">;
type Space = Schema<"Space">;
type Removal = Schema<"Removal">;
type Work = "backup" | "vacuum" | "tidy";

const WORKS: Record<Work, { title: string; action: string; text: string }> = {
  backup: {
    title: "Back up the store?",
    action: "Back up",
    text: "A whole and consistent copy of the database beside it, made while it is in use. Logs and values are files of their own.",
  },
  vacuum: {
    title: "Give free space back?",
    action: "Give back",
    text: "Free space of the database goes back to the file system, bit by bit; nothing waits for it.",
  },
  tidy: {
    title: "Look at once for what may be removed?",
    action: "Look now",
    text: "Retention looks by itself every hour. What is past its age or over its size is removed now.",
  },
};

export default function Storage() {
  const storage = useGet("/api/v1/storage", {}, { live: ["removed"], staleTime: 30_000 });
  const isAdmin = useMay("admin");
  const [asking, ask] = useState<Work | null>(null);
  const [said, say] = useState("");
  const work = async () => {
    if (asking === "backup") {
      const made = await send("post", "/api/v1/storage/backup", { body: {} });
      say(`${made.name}, ${bytes(made.bytes)}, is made.`);
    } else if (asking === "vacuum") {
      say(`${bytes((await send("post", "/api/v1/storage/vacuum")).bytes)} went back to the file system.`);
    } else {
      const { counts } = await send("post", "/api/v1/storage/tidy");
      const removed = Object.entries(counts).filter(([, count]) => Number(count) > 0);
      say(
        removed.length === 0
          ? "There was nothing to remove."
          : `Removed: ${removed.map(([kind, count]) => `${count} ${kind}`).join(", ")}.`,
      );
    }
    void storage.refetch();
  };
  const title = isAdmin ? undefined : "This needs the permission `admin`";
  return (
    <Loaded query={storage}>
      {(found) => (
        <>
          <Section
            title={`${bytes(found.bytes)} in all${found.free ? `, ${bytes(found.free)} of the database free` : ""}`}
            aside={(Object.keys(WORKS) as Work[]).map((name) => (
              <Button key={name} onClick={() => ask(name)} disabled={!isAdmin} title={title}>
                {WORKS[name].action}
              </Button>
            ))}
          >
            {said && <p role="status">{said}</p>}
            <Spaces items={found.spaces} total={found.bytes} />
            {found.elsewhere && (
              <p className="dim">
                Values are in <code>{found.elsewhere}</code>, which is not counted here:{" "}
                <code>partita db storage</code> does.
              </p>
            )}
          </Section>
          <Section title="How long each kind is kept">
            <Keeping items={found.kept} />
          </Section>
          <Removals />
          {asking && (
            <Confirm
              opened
              title={WORKS[asking].title}
              action={WORKS[asking].action}
              onConfirm={work}
              onClose={() => ask(null)}
            >
              <p>{WORKS[asking].text}</p>
            </Confirm>
          )}
        </>
      )}
    </Loaded>
  );
}

function Spaces({ items, total }: { items: Space[]; total: number }) {
  const columns: Column<Space>[] = [
    { id: "name", head: "What", cell: (row) => row.name, value: (row) => row.name, width: "160px" },
    {
      id: "share",
      head: "Share",
      cell: (row) => (
        <Meter
          parts={[{ state: "running", count: row.bytes }]}
          total={total}
          label={`${row.name}: ${bytes(row.bytes)} of ${bytes(total)}`}
        />
      ),
      width: "30%",
    },
    {
      id: "bytes",
      head: "Space",
      right: true,
      cell: (row) => bytes(row.bytes),
      value: (row) => row.bytes,
      width: "110px",
    },
    {
      id: "files",
      head: "Files",
      right: true,
      cell: (row) => row.files.toLocaleString("en"),
      value: (row) => row.files,
      width: "110px",
    },
  ];
  return <Table name="spaces" columns={columns} rows={items} rowKey={(row) => row.name} noKeys />;
}

function Keeping({ items }: { items: Kept[] }) {
  const columns: Column<Kept>[] = [
    {
      id: "kind",
      head: "Kind",
      cell: (row) => row.kind.replaceAll("_", " "),
      value: (row) => row.kind,
      width: "160px",
    },
    {
      id: "age",
      head: "Kept for",
      right: true,
      cell: (row) => (row.age_s === null ? "ever" : rough(row.age_s)),
      value: (row) => row.age_s,
      width: "110px",
    },
    {
      id: "most",
      head: "At most",
      right: true,
      cell: (row) => (row.max_bytes === null ? "–" : bytes(row.max_bytes)),
      value: (row) => row.max_bytes,
      width: "110px",
    },
    {
      id: "now",
      head: "To remove now",
      right: true,
      cell: (row) => (row.removable === null ? "–" : row.removable.toLocaleString("en")),
      value: (row) => row.removable,
      width: "140px",
    },
  ];
  return <Table name="kept" columns={columns} rows={items} rowKey={(row) => row.kind} noKeys />;
}

function Removals() {
  const removals = usePages("/api/v1/removals", { query: { limit: 50 } }, { live: ["removed"] });
  const columns: Column<Removal>[] = [
    { id: "at", head: "When", cell: (row) => <When at={row.at} />, value: (row) => row.at, width: "110px" },
    { id: "what", head: "What", cell: (row) => row.what, value: (row) => row.what, width: "160px" },
    {
      id: "count",
      head: "How many",
      right: true,
      cell: (row) => row.count.toLocaleString("en"),
      value: (row) => row.count,
      width: "110px",
    },
    {
      id: "bytes",
      head: "Space",
      right: true,
      cell: (row) => bytes(row.bytes),
      value: (row) => row.bytes,
      width: "110px",
    },
    { id: "reason", head: "Why", cell: (row) => row.reason, value: (row) => row.reason },
  ];
  return (
    <Section title="What retention has removed">
      <Loaded query={{ ...removals, data: removals.data && removals.items }}>
        {(items) => (
          <div className={css.column}>
            <Table
              name="removals"
              columns={columns}
              rows={items}
              rowKey={(row) => String(row.no)}
              more={removals.more}
              hasMore={removals.hasMore}
              noKeys
              empty={
                <Empty title="Nothing was removed yet">Whatever goes for its age or size is told here.</Empty>
              }
            />
          </div>
        )}
      </Loaded>
    </Section>
  );
}
