/** The columns of an asset: their types, what each is made from, what is made from it. */
import { type Schema, useGet } from "@/api/client";
import { type Column, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { Empty, Loaded } from "@/parts/Waiting";
import { assetAt } from "./paths";

type Ref = Schema<"ColumnRef">;

const CODE = `@pt.asset(
    columns={"carrier": "text", "delay": "float"},
    lineage={"delay": ["flights.dep_delay", "flights.arr_delay"]},
)`;

const COLUMNS: Column<Schema<"ColumnLineage">>[] = [
  {
    id: "name",
    head: "Column",
    value: (row) => row.name,
    width: "24%",
    cell: (row) => <span className="mono">{row.name}</span>,
  },
  {
    id: "type",
    head: "Type",
    value: (row) => row.type,
    width: "16%",
    cell: (row) => row.type || <span className="dim">–</span>,
  },
  { id: "reads", head: "Made from", value: (row) => said(row.reads), cell: (row) => <Refs of={row.reads} /> },
  {
    id: "readers",
    head: "Read by",
    value: (row) => said(row.readers),
    wide: true,
    cell: (row) => <Refs of={row.readers} />,
  },
];

export function ColumnsTab({ asset }: { asset: string }) {
  const columns = useGet(
    "/api/v1/assets/{asset}/columns",
    { path: { asset } },
    { live: ["project_", "manifest_"] },
  );
  return (
    <Loaded query={columns} rows={6}>
      {(found) => (
        <Table
          name="columns"
          columns={COLUMNS}
          rows={found.columns}
          rowKey={(row) => row.name}
          empty={
            <Empty title="Its columns are not declared" code={CODE}>
              Columns and what they are made from stand here, and a search finds the asset by them.
            </Empty>
          }
        />
      )}
    </Loaded>
  );
}

function Refs({ of }: { of: Ref[] }) {
  if (of.length === 0) return <span className="dim">–</span>;
  return of.map((ref, at) => (
    <span key={`${ref.asset}.${ref.column}`}>
      {at > 0 && ", "}
      <To to={assetAt(ref.asset, "columns")} className="mono">
        {ref.asset}.{ref.column}
      </To>
    </span>
  ));
}

function said(refs: Ref[]): string {
  return refs.map((ref) => `${ref.asset}.${ref.column}`).join(" ");
}
