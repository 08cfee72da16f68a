/** Who changed what, and who was denied; each entry holds the hash of the one before. */
import { Button } from "@mantine/core";
import { type Schema, useGet, usePages } from "@/api/client";
import { useChosen } from "@/frame/address";
import { Key } from "@/parts/Command";
import { Filters, Search } from "@/parts/Filters";
import { State } from "@/parts/State";
import { type Column, Export, Table } from "@/parts/Table";
import { Loaded, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./System.module.css";

type Entry = Schema<"AuditEntry">;

export default function Audit() {
  const [chosen, choose] = useChosen();
  const entries = usePages(
    "/api/v1/audit",
    { query: { limit: 100, principal: chosen.q ?? "" } },
    { keep: true },
  );
  const columns: Column<Entry>[] = [
    {
      id: "at",
      head: "When",
      cell: (row) => <When at={row.at} as="exact" />,
      value: (row) => row.at,
      width: "160px",
    },
    { id: "who", head: "Who", cell: (row) => row.principal, value: (row) => row.principal, width: "120px" },
    {
      id: "action",
      head: "Did",
      cell: (row) => <span title={row.action}>{row.action.replace("/api/v1", "")}</span>,
      value: (row) => row.action,
    },
    {
      id: "object",
      head: "To",
      cell: (row) => <span title={row.object}>{row.object}</span>,
      value: (row) => row.object,
      width: "22%",
    },
    {
      id: "result",
      head: "Result",
      cell: (row) => (row.result === "done" ? "done" : <State state="refused" more={row.result} />),
      value: (row) => row.result,
      width: "160px",
    },
    {
      id: "address",
      head: "From",
      cell: (row) => row.address,
      value: (row) => row.address,
      width: "120px",
      wide: true,
    },
  ];
  return (
    <>
      <Filters aside={<Export columns={columns} rows={entries.items} name="audit" />}>
        <Search
          value={chosen.q ?? ""}
          onChange={(q) => choose({ q })}
          placeholder="What one user or token did"
          label="By whom"
        />
        <Chain />
      </Filters>
      <Loaded query={{ ...entries, data: entries.data && entries.items }}>
        {(items) => (
          <Table
            name="audit"
            columns={columns}
            rows={items}
            rowKey={(row) => String(row.no)}
            more={entries.more}
            hasMore={entries.hasMore}
            empty={<p className="dim">No entry.</p>}
          />
        )}
      </Loaded>
    </>
  );
}

function Chain() {
  const [chosen, choose] = useChosen();
  const chain = useGet("/api/v1/audit-chain", {}, { enabled: chosen.chain === "1" });
  if (chosen.chain !== "1")
    return <Button onClick={() => choose({ chain: "1" })}>Is it as it was written?</Button>;
  if (chain.error) return <Trouble error={chain.error} />;
  if (!chain.data) return <span className="dim">looking …</span>;
  const { findings, head } = chain.data;
  return (
    <span className={css.facts} data-testid="chain">
      {findings.length === 0 ? (
        <State state="healthy" more="it is as it was written" />
      ) : (
        <State state="failed" more={`it was tampered with: ${findings[0]}`} />
      )}
      {head && (
        <span className="dim">
          head <Key short>{head}</Key>
        </span>
      )}
    </span>
  );
}
