/** Every time an asset was made: its numbers as plots, and the list. */
import { SegmentedControl } from "@mantine/core";
import { useMemo } from "react";
import { type Schema, usePages } from "@/api/client";
import { useChosen } from "@/frame/address";
import { Inspector } from "@/frame/Inspector";
import { Key } from "@/parts/Command";
import { Metadata, number } from "@/parts/Metadata";
import { Section } from "@/parts/Page";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { Empty, Skeleton, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import type { Definition } from "./Asset";
import { LIVE } from "./live";
import { isTimed, Numbers } from "./Numbers";
import { runAt } from "./paths";

type Made = Schema<"Materialization">;

export function Materializations({ asset }: { asset: Definition }) {
  const [chosen, choose] = useChosen();
  const made = usePages(
    "/api/v1/assets/{asset}/materializations",
    { path: { asset: asset.name }, query: { limit: 100 } },
    { live: LIVE },
  );
  const rows = made.items as Made[];
  const columns = useMemo(() => columnsOf(rows, asset), [rows, asset]);
  const open = rows.find((row) => keyOf(row) === chosen.one);
  if (made.error) return <Trouble error={made.error} again={() => void made.refetch()} />;
  if (made.isPending) return <Skeleton rows={8} />;
  if (rows.length === 0)
    return (
      <Empty
        title="It was never made"
        code={`def ${/^\w+$/.test(asset.name) ? asset.name : "asset"}(ctx: pt.Context):\n    ...\n    ctx.add_metadata(rows=len(table))`}
      >
        Each materialization stands here, with plots of the numbers that its code reports.
      </Empty>
    );
  return (
    <>
      {isTimed(asset) && (
        <div>
          <SegmentedControl
            size="xs"
            aria-label="By what the plots go"
            value={chosen.across === "made" ? "made" : "partition"}
            onChange={(across) => choose({ across })}
            data={[
              { value: "partition", label: "by partition" },
              { value: "made", label: "by when it was made" },
            ]}
          />
        </div>
      )}
      <Numbers asset={asset} />
      <Section
        title="List"
        aside={<Export columns={columns} rows={rows} name={`${asset.name} materializations`} />}
      >
        <Table
          name="materializations"
          columns={columns}
          rows={rows}
          rowKey={keyOf}
          {...(chosen.one ? { current: chosen.one } : {})}
          onOpen={(row) => choose({ one: keyOf(row) })}
          more={made.more}
          hasMore={made.hasMore}
        />
      </Section>
      {open && <Panel made={open} onClose={() => choose({ one: undefined })} />}
    </>
  );
}

function keyOf(row: Made): string {
  return [row.run.slice(0, 13) || row.at, row.partition, row.attempt].filter(Boolean).join(" ");
}

function columnsOf(rows: Made[], asset: Definition): Column<Made>[] {
  const numbers = [
    ...new Set(
      rows.flatMap((row) => row.metadata.filter((meta) => meta.kind === "number").map((meta) => meta.name)),
    ),
  ];
  return [
    { id: "at", head: "Made", value: (row) => row.at, width: "130px", cell: (row) => <When at={row.at} /> },
    ...(asset.partitions === null
      ? []
      : [
          {
            id: "partition",
            head: "Partition",
            value: (row: Made) => row.partition,
            width: "170px",
            cell: (row: Made) => <span className="mono">{row.partition}</span>,
          },
        ]),
    {
      id: "run",
      head: "Run",
      value: (row) => row.run || row.step,
      width: "120px",
      cell: (row) =>
        row.run ? (
          <To to={runAt(row.run)}>{row.run.slice(0, 8)}</To>
        ) : (
          <span className="dim">told by {row.step}</span>
        ),
    },
    {
      id: "data",
      head: "Data",
      value: (row) => row.data_version,
      width: "120px",
      wide: true,
      cell: (row) => <span className="mono dim">{row.data_version.slice(0, 10)}</span>,
    },
    ...numbers.slice(0, 5).map((name) => ({
      id: name,
      head: name,
      right: true,
      wide: true,
      value: (row: Made) => numberOf(row, name),
      cell: (row: Made) => {
        const value = numberOf(row, name);
        return value === null ? <span className="dim">–</span> : number(value);
      },
    })),
  ];
}

function numberOf(row: Made, name: string): number | null {
  const value: unknown = row.metadata.find((meta) => meta.name === name)?.value;
  return typeof value === "number" ? value : null;
}

function Panel({ made, onClose }: { made: Made; onClose: () => void }) {
  return (
    <Inspector title={made.partition ?? made.asset} onClose={onClose}>
      <div>
        Made <When at={made.at} />{" "}
        {made.run ? <To to={runAt(made.run)}>in run {made.run.slice(0, 8)}</To> : `, told by ${made.step}`}
      </div>
      <Metadata
        items={[
          ...made.metadata,
          { name: "code version", kind: "text", value: made.code_version || "–" },
          { name: "attempt", kind: "number", value: made.attempt },
        ]}
      />
      <Key>{made.data_version || "–"}</Key>
    </Inspector>
  );
}
