/** Pools and limits as they are now: how much is taken, what waits, and another number for them while all runs. */
import { Button, Modal, NumberInput, Textarea } from "@mantine/core";
import { useState } from "react";
import { type Schema, useGet, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import { Meter } from "@/parts/Bars";
import { Section } from "@/parts/Page";
import { type Column, Export, Table } from "@/parts/Table";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";
import css from "./System.module.css";

type Limit = Schema<"LimitNow">;

export default function Limits() {
  const [edited, edit] = useState<Limit | null>(null);
  const limits = useGet("/api/v1/limits", {}, { live: ["pool_", "limit_", "attempt_", "run_"] });
  const columns: Column<Limit>[] = [
    { id: "name", head: "Limit", cell: (row) => row.name, value: (row) => row.name, width: "22%" },
    { id: "of", head: "Of", cell: (row) => row.of, value: (row) => row.of, width: "100px" },
    {
      id: "namespace",
      head: "Namespace",
      cell: (row) => row.namespace,
      value: (row) => row.namespace,
      width: "120px",
      wide: true,
    },
    {
      id: "used",
      head: "Taken",
      cell: (row) => <Taken of={row} />,
      value: (row) => row.used,
      width: "200px",
    },
    {
      id: "waiting",
      head: "Waiting",
      right: true,
      cell: (row) => row.waiting ?? "–",
      value: (row) => row.waiting,
      width: "90px",
    },
    {
      id: "set",
      head: "Set by hand",
      cell: (row) =>
        row.set === null ? (
          <span className="dim">as declared</span>
        ) : (
          <span title={row.reason}>{`${row.set} by ${row.by}${row.reason ? `: ${row.reason}` : ""}`}</span>
        ),
      value: (row) => row.set,
      wide: true,
    },
    {
      id: "edit",
      head: <span className="visually-hidden">Change</span>,
      cell: (row) => <Change of={row} edit={edit} />,
      width: "90px",
    },
  ];
  return (
    <Section aside={<Export columns={columns} rows={limits.data?.items ?? []} name="limits" />}>
      <Loaded query={limits}>
        {(found) => (
          <Table
            name="limits"
            columns={columns}
            rows={found.items}
            rowKey={(row) => `${row.namespace}/${row.of}/${row.name}`}
            empty={
              <Empty
                title="No pool and no limit is declared"
                code={`# pyproject.toml
[tool.partita]
pools = { warehouse = 5 }

# pipelines.py
@pt.task(pool="warehouse")
def load(): ...`}
              >
                A pool keeps too much from running at once against one thing. A slot is held by an open
                attempt and nothing else.
              </Empty>
            }
          />
        )}
      </Loaded>
      {edited && <Edit key={edited.name} of={edited} onClose={() => edit(null)} />}
    </Section>
  );
}

function Taken({ of }: { of: Limit }) {
  if (of.used === null) return <span className="dim">not known without an engine</span>;
  if (of.slots === null) return <span>{of.used}, no limit</span>;
  const said = `${of.used} of ${of.slots}${of.per_s ? ` in ${of.per_s} s` : ""}`;
  return (
    <span className={css.taken}>
      <Meter
        parts={[{ state: of.used >= of.slots ? "late" : "running", count: of.used }]}
        total={of.slots}
        label={said}
      />
      <span>{said}</span>
    </span>
  );
}

function Change({ of, edit }: { of: Limit; edit: (limit: Limit) => void }) {
  const may = useMay("operate", of.namespace);
  return (
    <Button
      onClick={() => edit(of)}
      disabled={!may}
      title={may ? undefined : "This needs the permission `operate`"}
      aria-label={`change ${of.name}`}
    >
      Change
    </Button>
  );
}

function Edit({ of, onClose }: { of: Limit; onClose: () => void }) {
  const [slots, setSlots] = useState<number | string>(of.slots ?? "");
  const [reason, setReason] = useState("");
  const put = useSend("put", "/api/v1/limits/{namespace}/{of}/{name}");
  const path = { namespace: of.namespace, of: of.of as "pool", name: of.name };
  const send = (to: number | null) =>
    put.mutate({ path, body: { slots: to, reason } }, { onSuccess: onClose });
  return (
    <Modal opened onClose={onClose} title={<strong>{`Slots of ${of.name}`}</strong>}>
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (typeof slots === "number") send(slots);
        }}
      >
        <NumberInput
          label="Slots"
          description="0 lets nothing begin. What runs goes on."
          min={0}
          max={1_000_000_000}
          allowDecimal={false}
          value={slots}
          onChange={setSlots}
          data-autofocus
          required
        />
        <Textarea label="Reason" value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
        {put.error && <Trouble error={put.error} />}
        <div className={css.buttons}>
          {of.set !== null && (
            <Button onClick={() => send(null)}>As declared ({of.declared ?? "no limit"})</Button>
          )}
          <Button type="submit" variant="filled" loading={put.isPending}>
            Set
          </Button>
        </div>
      </form>
    </Modal>
  );
}
