/** The history of a run as it is in the journal, oldest first. */
import { useCallback, useMemo } from "react";
import { usePages } from "@/api/client";
import { useChosen } from "@/frame/address";
import { Filters, Search } from "@/parts/Filters";
import { Glyph } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { Skeleton, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import { placeOf, type RunEvent, type Told, told } from "./history";
import type { TabProps } from "./Run";
import css from "./Run.module.css";

const COLUMNS: Column<Told>[] = [
  {
    id: "at",
    head: "When",
    width: "110px",
    value: (each) => each.at,
    cell: (each) => <When at={each.at} as="clock" seconds />,
  },
  {
    id: "step",
    head: "Step",
    width: "26%",
    value: placeOf,
    cell: (each) => <span className={css.stepName}>{placeOf(each) || "–"}</span>,
  },
  {
    id: "what",
    head: "What happened",
    value: (each) => each.words,
    cell: (each) => (
      <span className={css.event} title={each.words}>
        <Glyph state={each.state} size={13} /> {each.words}
      </span>
    ),
  },
  {
    id: "kind",
    head: "Event",
    width: "160px",
    wide: true,
    value: (each) => each.kind,
    cell: (each) => <code className="dim">{each.kind}</code>,
  },
];

export function EventsTab({ run, selected, select }: TabProps) {
  const [chosen, choose] = useChosen();
  const pages = usePages(
    "/api/v1/runs/{run}/events",
    { path: { run: run.id }, query: { limit: 500 } },
    { live: true, liveRun: run.id },
  );
  const wanted = (chosen.q ?? "").toLowerCase();
  const rows = useMemo(
    () =>
      told(pages.items as { seq: number; at: string | null; events: RunEvent[] }[]).filter(
        (each) => !wanted || `${placeOf(each)} ${each.words} ${each.kind}`.toLowerCase().includes(wanted),
      ),
    [pages.items, wanted],
  );
  const search = useCallback((q: string) => choose({ q: q || undefined }), [choose]);
  if (pages.error) return <Trouble error={pages.error} again={() => void pages.refetch()} />;
  if (pages.isPending) return <Skeleton rows={10} />;
  return (
    <>
      <Filters aside={<Export columns={COLUMNS} rows={rows} name={`run-${run.no}-events`} />}>
        <Search value={chosen.q ?? ""} onChange={search} placeholder="Find in the history" />
      </Filters>
      <Table
        name="events"
        columns={COLUMNS}
        rows={rows}
        rowKey={(each) => each.key}
        onOpen={(each) => each.step && select(each.step, each.index)}
        current={selected ? undefined : ""}
        more={pages.more}
        hasMore={pages.hasMore}
        height="max(420px, calc(100vh - 340px))"
        empty={<p className={css.shown}>Nothing in the history is like this.</p>}
      />
    </>
  );
}
