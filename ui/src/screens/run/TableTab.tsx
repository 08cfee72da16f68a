/** All steps and instances of a run as a table, what is bad first. */
import { useCallback, useMemo } from "react";
import { href, useChosen, useGo } from "@/frame/address";
import { Choice, Filters, Search } from "@/parts/Filters";
import { State } from "@/parts/State";
import { lookOf, ORDER, rankOf } from "@/parts/states";
import { type Column, Export, Table } from "@/parts/Table";
import { took } from "@/parts/time";
import { nameOf, type Row, rowsOf } from "./columns";
import type { TabProps } from "./Run";
import css from "./Run.module.css";

export function TableTab({ run, all, selected, select }: TabProps) {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const text = (chosen.q ?? "").toLowerCase();
  const rows = useMemo(
    () =>
      rowsOf(all)
        .filter(
          (row) =>
            (!chosen.state || row.state === chosen.state) &&
            (!text ||
              nameOf(row.step, row.index).toLowerCase().includes(text) ||
              row.of.owner.toLowerCase().includes(text)),
        )
        .sort((a, b) => rankOf(a.state) - rankOf(b.state)),
    [all, chosen.state, text],
  );
  const narrow = selected !== null;
  const columns = useMemo(
    () => columnsOf(all.zero).filter((column) => !narrow || !["group", "owner", "began"].includes(column.id)),
    [all.zero, narrow],
  );
  const search = useCallback((q: string) => choose({ q: q || undefined }), [choose]);
  const states = ORDER.filter((state) => all.counts[state] || state === chosen.state);
  return (
    <>
      <Filters aside={<Export columns={columns} rows={rows} name={`run-${run.no}-steps`} />}>
        <Search value={chosen.q ?? ""} onChange={search} placeholder="Find a step or owner" />
        <Choice
          label="any state"
          value={chosen.state}
          options={states.map((state) => ({
            value: state,
            label: `${lookOf(state).word} (${all.counts[state] ?? 0})`,
          }))}
          onChange={(state) => choose({ state })}
          width={190}
        />
        <span className={css.shown}>
          {rows.length.toLocaleString("en")} {rows.length === 1 ? "step" : "steps"}
        </span>
      </Filters>
      <Table
        name="steps"
        columns={columns}
        rows={rows}
        rowKey={(row) => `${row.step}\n${row.index}`}
        current={selected ? `${selected.step}\n${selected.index}` : undefined}
        onOpen={(row) =>
          selected?.step === row.step && selected.index === row.index
            ? go(href(["runs", run.no, "steps", row.step], { index: row.index || undefined }))
            : select(row.step, row.index)
        }
        height="max(420px, calc(100vh - 340px))"
        empty={<p className={css.shown}>No step is like this. Take a filter away to see the others.</p>}
      />
    </>
  );
}

function columnsOf(zero: string | null): Column<Row>[] {
  const start = zero ? Date.parse(zero) : 0;
  return [
    {
      id: "state",
      head: "State",
      width: "168px",
      value: (row) => rankOf(row.state),
      cell: (row) => <State state={row.state} />,
    },
    {
      id: "step",
      head: "Step",
      value: (row) => row.step,
      cell: (row) => <span className={css.stepName}>{nameOf(row.step, row.index)}</span>,
    },
    {
      id: "group",
      head: "Group",
      width: "16%",
      wide: true,
      value: (row) => row.of.group.join("/"),
      cell: (row) => row.of.group.join(" / "),
    },
    {
      id: "owner",
      head: "Owner",
      width: "13%",
      wide: true,
      value: (row) => row.of.owner,
      cell: (row) => row.of.owner,
    },
    {
      id: "began",
      head: "Began after",
      right: true,
      wide: true,
      width: "112px",
      value: (row) => row.began,
      cell: (row) =>
        row.began === null ? (
          "–"
        ) : (
          <span title={start ? new Date(start + row.began).toISOString() : ""}>{took(row.began / 1000)}</span>
        ),
    },
    {
      id: "took",
      head: "Took",
      right: true,
      width: "92px",
      value: (row) => row.took,
      cell: (row) => (row.took === null ? "–" : took(row.took / 1000)),
    },
    {
      id: "attempts",
      head: "Attempts",
      right: true,
      wide: true,
      width: "92px",
      value: (row) => row.attempts,
      cell: (row) => row.attempts || "–",
    },
  ];
}
