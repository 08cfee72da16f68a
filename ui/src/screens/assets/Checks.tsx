/** The tests of an asset over time: what each said last, and before. */
import { useMemo } from "react";
import { type Schema, useGet } from "@/api/client";
import { useGo } from "@/frame/address";
import { Bars } from "@/parts/Bars";
import { Panel, Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { exact } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Asset.module.css";
import { LIVE } from "./live";
import { runAt } from "./paths";

type Check = Schema<"Check">;

const SHOWN = 60;

const COLUMNS: Column<Check>[] = [
  { id: "at", head: "When", value: (row) => row.at, width: "120px", cell: (row) => <When at={row.at} /> },
  { id: "check", head: "Check", value: (row) => row.check, width: "24%", cell: (row) => row.check },
  {
    id: "state",
    head: "Said",
    value: (row) => stateOf(row),
    width: "120px",
    cell: (row) => (
      <State state={stateOf(row)} {...(row.passed || row.severity === "error" ? {} : { more: "warns" })} />
    ),
  },
  {
    id: "partition",
    head: "Partition",
    value: (row) => row.partition,
    width: "150px",
    cell: (row) => <span className="mono">{row.partition}</span>,
  },
  {
    id: "message",
    head: "Message",
    value: (row) => row.message,
    wide: true,
    cell: (row) => <span title={row.message}>{row.message}</span>,
  },
  {
    id: "run",
    head: "Run",
    value: (row) => row.run,
    width: "110px",
    wide: true,
    cell: (row) =>
      row.run ? <To to={runAt(row.run)}>{row.run.slice(0, 8)}</To> : <span className="dim">{row.step}</span>,
  },
];

function stateOf(check: Check): string {
  return check.passed ? "passed" : "failed";
}

const CODE = (
  asset: string,
) => `@pt.check(${/^[A-Za-z_]\w*$/.test(asset) ? asset : JSON.stringify(asset)}, blocking=True)
def is_plausible(value) -> bool:
    return len(value) > 0`;

export function ChecksTab({ asset }: { asset: string }) {
  const go = useGo();
  const path = { path: { asset } };
  const uses = useGet("/api/v1/assets/{asset}/uses", path, { live: LIVE });
  const checks = useGet("/api/v1/assets/{asset}/checks", { ...path, query: { limit: 500 } }, { live: LIVE });
  const by = useMemo(() => grouped(checks.data?.items ?? []), [checks.data]);
  if (uses.data?.checks.length === 0 && checks.data?.items.length === 0)
    return (
      <Empty title="No check looks at it" code={CODE(asset)}>
        A check is a test of what was made; a blocking one holds up everything that reads the asset.
      </Empty>
    );
  return (
    <>
      <Loaded query={uses} rows={3}>
        {(found) => (
          <Panel>
            {found.checks.map((check) => (
              <div key={check.name} className={css.check}>
                <span className="clip" title={check.description}>
                  <strong>{check.name}</strong> <span className="dim">{check.description}</span>
                </span>
                <span className={css.bar}>
                  <State state={last(by.get(check.name))} />
                  {check.blocking && <span className={css.tag}>blocks</span>}
                  {check.failed > 0 && (
                    <span className="dim">{check.failed.toLocaleString("en")} failed at their last look</span>
                  )}
                </span>
                <span className={css.strip}>
                  <Bars
                    height={18}
                    bars={(by.get(check.name) ?? [])
                      .slice(0, SHOWN)
                      .reverse()
                      .map((one) => ({
                        state: stateOf(one),
                        seconds: 1,
                        title: `${one.partition || "all"} ${one.at ? exact(one.at) : ""}`,
                        ...(one.run ? { to: runAt(one.run) } : {}),
                      }))}
                  />
                </span>
              </div>
            ))}
          </Panel>
        )}
      </Loaded>
      <Section title="Evaluations">
        <Loaded query={checks} rows={6}>
          {(found) => (
            <Table
              name="evaluations"
              columns={COLUMNS}
              rows={found.items}
              rowKey={(row) => `${row.check} ${row.partition} ${row.at} ${row.run}`}
              onOpen={(row) => row.run && go(runAt(row.run))}
              empty={<p className="dim">None yet: they run after the asset was made.</p>}
            />
          )}
        </Loaded>
      </Section>
    </>
  );
}

function grouped(rows: Check[]): Map<string, Check[]> {
  const found = new Map<string, Check[]>();
  for (const row of rows) found.set(row.check, [...(found.get(row.check) ?? []), row]);
  return found;
}

function last(found: Check[] | undefined): string {
  return found?.[0] ? stateOf(found[0]) : "unknown";
}
