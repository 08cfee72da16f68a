/** Connections that projects declare, and whether they work: tried in a worker of the project. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { type Schema, send, usePages } from "@/api/client";
import { useMay } from "@/api/session";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Table } from "@/parts/Table";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";

type Resource = Schema<"Resource">;

export default function Resources() {
  const resources = usePages(
    "/api/v1/resources",
    { query: { limit: 200 } },
    { live: ["project_", "version_"] },
  );
  const columns: Column<Resource>[] = [
    {
      id: "name",
      head: "Resource",
      cell: (row) => <span title={row.written_at}>{row.name}</span>,
      value: (row) => row.name,
      width: "18%",
    },
    { id: "of", head: "Kind", cell: (row) => row.of, value: (row) => row.of, width: "14%" },
    {
      id: "project",
      head: "Project",
      cell: (row) => row.project,
      value: (row) => row.project,
      width: "14%",
      wide: true,
    },
    {
      id: "description",
      head: "What it is",
      cell: (row) => <span title={row.description}>{row.description}</span>,
      value: (row) => row.description,
      wide: true,
    },
    {
      id: "secrets",
      head: "Needs",
      cell: (row) => row.secrets.join(", "),
      value: (row) => row.secrets.join(" "),
      width: "16%",
      wide: true,
    },
    { id: "test", head: "Test", cell: (row) => <Test of={row} />, width: "300px" },
  ];
  return (
    <Section>
      <Loaded query={{ ...resources, data: resources.data && resources.items }}>
        {(items) => (
          <Table
            name="resources"
            columns={columns}
            rows={items}
            rowKey={(row) => `${row.project} ${row.name}`}
            more={resources.more}
            hasMore={resources.hasMore}
            empty={
              <Empty
                title="No resource is declared"
                code={
                  "@pt.resource\nclass Warehouse:\n    url: str\n    password: pt.Secret\n\n    def test(self) -> None:\n        connect(self.url, self.password.get()).ping()"
                }
              >
                A typed connection with its secrets by name, and a test that runs where the steps run.
              </Empty>
            }
          />
        )}
      </Loaded>
    </Section>
  );
}

function Test({ of }: { of: Resource }) {
  const may = useMay("secret.use", of.namespace);
  const [busy, setBusy] = useState(false);
  const [said, say] = useState<Schema<"ResourceTest"> | null>(null);
  const [failed, fail] = useState<unknown>(null);
  if (!of.can_test) return <span className="dim">it has no test</span>;
  const test = async () => {
    setBusy(true);
    fail(null);
    try {
      say(await send("post", "/api/v1/resources/{resource}/test", { path: { resource: of.name } }));
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
        title={may ? undefined : "This needs the permission `secret.use`"}
        aria-label={`test ${of.name}`}
      >
        Test
      </Button>
      {said && <State state={said.works ? "healthy" : "failed"} more={said.message} reason={said.message} />}
      {failed !== null && <Trouble error={failed} />}
    </span>
  );
}
