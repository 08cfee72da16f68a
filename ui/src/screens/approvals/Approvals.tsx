/** What waits for a person, the longest first, with the material to decide on; and what waits for other systems. */
import { useMemo } from "react";
import { type Schema, usePages } from "@/api/client";
import { href, useChosen } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Choice, Filters, Search } from "@/parts/Filters";
import { GatePanel } from "@/parts/GatePanel";
import { Page, Section } from "@/parts/Page";
import { type Column, Table } from "@/parts/Table";
import { Tabs } from "@/parts/Tabs";
import { To } from "@/parts/To";
import { Empty, Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Approvals.module.css";

type Approval = Schema<"ApprovalNow">;
type Gate = Schema<"Gate">;

const EXAMPLE =
  'go = pt.approval("deploy {version} to prod?", by="role:operator",\n                 show={"version": version}, timeout="2d")\ndeploy(version, go)';
const LIVE = ["gate_", "run_ended", "step_"];

export const keyOf = (of: { run_no: number; step: string; index: string }) =>
  `${of.run_no}/${of.step}/${of.index}`;

export default function Approvals() {
  const [chosen, choose] = useChosen();
  const approvals = usePages("/api/v1/approvals", { query: { limit: 100 } }, { live: LIVE });
  const gates = usePages("/api/v1/gates", { query: { limit: 100 } }, { live: LIVE });
  const others = gates.items.filter((gate) => gate.of !== "approval");
  return (
    <Page title="Approvals" command="partita approvals" wide>
      <Tabs
        label="approvals"
        at={chosen.tab ?? "people"}
        onChange={(tab) => choose({ tab: tab === "people" ? undefined : tab }, { push: true })}
        tabs={[
          {
            id: "people",
            name: "People",
            count: approvals.data ? approvals.items.length : undefined,
            content: () => (
              <Loaded query={{ ...approvals, data: approvals.data && approvals.items }}>
                {(items) => <People items={items} more={approvals.hasMore ? approvals.more : undefined} />}
              </Loaded>
            ),
          },
          {
            id: "others",
            name: "Other systems and times",
            count: gates.data ? others.length : undefined,
            content: () => (
              <Loaded query={{ ...gates, data: gates.data && others }}>
                {(items) => <Others items={items} more={gates.more} hasMore={gates.hasMore} />}
              </Loaded>
            ),
          },
        ]}
      />
    </Page>
  );
}

function People({ items, more }: { items: Approval[]; more: (() => void) | undefined }) {
  const [chosen, choose] = useChosen();
  const found = useMemo(() => {
    const words = (chosen.q ?? "").toLowerCase();
    return items.filter(
      (item) =>
        `${item.question} ${item.pipeline} ${item.step} ${item.who}`.toLowerCase().includes(words) &&
        (chosen.mine !== "yes" || item.may_not === ""),
    );
  }, [items, chosen.q, chosen.mine]);
  const at = found.findIndex((item) => keyOf(item) === chosen.of);
  // Where there is room the first is shown at once; on a phone the list comes first.
  const current = at < 0 ? found[0] : found[at];
  const move = (by: number) => {
    const next = found[Math.max(0, Math.min(found.length - 1, at + by))];
    if (next) choose({ of: keyOf(next) });
  };
  useShortcut("j", () => move(1), "next approval", found.length > 0);
  useShortcut("k", () => move(-1), "previous approval", found.length > 0);
  if (items.length === 0)
    return (
      <Empty title="Nothing waits for a person" code={EXAMPLE}>
        A step that asks a person holds no worker. Its question stands here with all that is needed to decide,
        until somebody answers or its time is over.
      </Empty>
    );
  return (
    <div className={css.panes}>
      <div className={`${css.list} ${at >= 0 ? css.behind : ""}`}>
        <Filters>
          <Search
            value={chosen.q ?? ""}
            onChange={(q) => choose({ q })}
            placeholder="Question, pipeline, who"
          />
          <Choice
            label="For whom"
            value={chosen.mine}
            options={[{ value: "yes", label: "for me" }]}
            width={110}
            onChange={(mine) => choose({ mine })}
          />
        </Filters>
        <ul>
          {found.map((item) => (
            <li key={keyOf(item)}>
              <To
                to={href(["approvals"], { ...chosen, of: keyOf(item) })}
                className={css.item}
                aria-current={item === current ? "true" : undefined}
              >
                <span className={css.question}>{item.question}</span>
                <span className={css.line}>
                  <span className={css.clip}>{item.pipeline}</span>
                  <span>
                    asked <When at={item.opened_at} />
                  </span>
                </span>
                <span className={css.line}>
                  <span className={css.clip}>
                    {item.may_not ? (
                      <span title={item.may_not}>{item.who}</span>
                    ) : (
                      <strong>you may answer</strong>
                    )}
                  </span>
                  {item.due_at && (
                    <span>
                      until <When at={item.due_at} />
                    </span>
                  )}
                </span>
              </To>
            </li>
          ))}
        </ul>
        {found.length === 0 && <p className="dim">None of the {items.length} fits.</p>}
        {more && (
          <button type="button" className={css.more} onClick={more}>
            More
          </button>
        )}
      </div>
      <div className={`${css.detail} ${at >= 0 ? "" : css.empty}`}>
        {current ? (
          <>
            <To to={href(["approvals"], { ...chosen, of: undefined })} className={css.back}>
              ← all that waits
            </To>
            <Where of={current} />
            <GatePanel key={keyOf(current)} approval={current} onAnswered={() => choose({ of: undefined })} />
          </>
        ) : (
          <p className="dim">Choose one to see what there is to decide on. j and k go through them.</p>
        )}
      </div>
    </div>
  );
}

/** Which step of which run asks. */
export function Where({ of }: { of: { run_no: number; pipeline: string; step: string; index: string } }) {
  return (
    <p className={css.where}>
      <span>
        <To to={href(["pipelines", of.pipeline])}>{of.pipeline}</To> ·{" "}
        <To to={href(["runs", of.run_no])}>run {of.run_no}</To> ·{" "}
        <To to={href(["runs", of.run_no], { step: of.step, index: of.index })}>
          {of.step}
          {of.index && `[${of.index}]`}
        </To>
      </span>
    </p>
  );
}

function Others({ items, more, hasMore }: { items: Gate[]; more: () => void; hasMore: boolean }) {
  const columns: Column<Gate>[] = [
    {
      id: "step",
      head: "Step",
      cell: (row) => (
        <To to={href(["runs", row.run_no], { step: row.step, index: row.index })}>{row.step}</To>
      ),
      value: (row) => row.step,
    },
    {
      id: "pipeline",
      head: "Pipeline",
      cell: (row) => row.pipeline,
      value: (row) => row.pipeline,
      wide: true,
    },
    {
      id: "of",
      head: "Waits for",
      cell: (row) => WAITS[row.of] ?? row.of,
      value: (row) => row.of,
      width: "170px",
    },
    {
      id: "since",
      head: "Since",
      cell: (row) => <When at={row.opened_at} />,
      value: (row) => row.opened_at,
      width: "110px",
    },
    {
      id: "heard",
      head: "Heard",
      cell: (row) => <span title={row.message}>{row.heard_at ? <When at={row.heard_at} /> : "–"}</span>,
      value: (row) => row.heard_at,
      width: "110px",
      wide: true,
    },
    {
      id: "due",
      head: "Until",
      cell: (row) => <When at={row.due_at} />,
      value: (row) => row.due_at,
      width: "110px",
    },
  ];
  return (
    <Section>
      <Table
        name="gates"
        columns={columns}
        rows={items}
        rowKey={keyOf}
        more={more}
        hasMore={hasMore}
        empty={
          <Empty
            title="No step waits for another system or a time"
            code={
              'done = pt.external("the training job", timeout="6h", heartbeat="10m")\npt.sleep("10m")\npt.wait_for(pt.until.file("orders.csv"))'
            }
          >
            Such steps wait without a worker; what they wait for and until when stands here.
          </Empty>
        }
      />
    </Section>
  );
}

const WAITS: Record<string, string> = {
  external: "another system's answer",
  sleep: "a time",
  condition: "a condition",
};
