/** Secrets by name: set, replaced, removed. Nobody can read one here, for the server has no way to say it. */
import { Button, Modal, PasswordInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { type Schema, usePages, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import { Confirm } from "@/parts/Confirm";
import { Section } from "@/parts/Page";
import { type Column, Table } from "@/parts/Table";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./System.module.css";

type SecretName = Schema<"SecretName">;

export default function Secrets() {
  const secrets = usePages("/api/v1/secrets", { query: { limit: 200 } });
  const may = useMay("admin");
  const [edited, edit] = useState<{ name: string; namespace: string } | null>(null);
  const [gone, remove] = useState<SecretName | null>(null);
  const del = useSend("delete", "/api/v1/secrets/{namespace}/{secret}");
  const columns: Column<SecretName>[] = [
    {
      id: "name",
      head: "Secret",
      cell: (row) => <code>{row.name}</code>,
      value: (row) => row.name,
      width: "30%",
    },
    {
      id: "namespace",
      head: "Namespace",
      cell: (row) => row.namespace,
      value: (row) => row.namespace,
      width: "18%",
    },
    {
      id: "changed",
      head: "Set",
      cell: (row) => <When at={row.changed_at} />,
      value: (row) => row.changed_at,
      width: "120px",
    },
    { id: "by", head: "By", cell: (row) => row.changed_by, value: (row) => row.changed_by },
    {
      id: "do",
      head: <span className="visually-hidden">Change</span>,
      cell: (row) => (
        <span className={css.inline}>
          <Button onClick={() => edit(row)} disabled={!may} aria-label={`replace ${row.name}`}>
            Replace
          </Button>
          <Button onClick={() => remove(row)} disabled={!may} aria-label={`remove ${row.name}`}>
            Remove
          </Button>
        </span>
      ),
      width: "190px",
    },
  ];
  return (
    <Section
      title="Names only: values are sealed, and only workers open them"
      aside={
        <Button
          variant="filled"
          onClick={() => edit({ name: "", namespace: "default" })}
          disabled={!may}
          title={may ? undefined : "This needs the permission `admin`"}
        >
          Set a secret
        </Button>
      }
    >
      <Loaded query={{ ...secrets, data: secrets.data && secrets.items }}>
        {(items) => (
          <Table
            name="secrets"
            columns={columns}
            rows={items}
            rowKey={(row) => `${row.namespace} ${row.name}`}
            more={secrets.more}
            hasMore={secrets.hasMore}
            empty={
              <Empty
                title="No secret is kept here"
                code={`partita secrets set WAREHOUSE_PASSWORD

@pt.task
def load(ctx: pt.Context):
    connect(password=ctx.secret("WAREHOUSE_PASSWORD"))`}
              >
                Secrets of the environment, of files, of a keyring or of Vault are not listed: they are kept
                there.
              </Empty>
            }
          />
        )}
      </Loaded>
      {edited && <Edit of={edited} onClose={() => edit(null)} />}
      {gone && (
        <Confirm
          opened
          danger
          title={`Remove ${gone.name}?`}
          action="Remove"
          onClose={() => remove(null)}
          onConfirm={() => del.mutateAsync({ path: { namespace: gone.namespace, secret: gone.name } })}
        >
          <p>Steps that ask for it fail from now on, and say so.</p>
        </Confirm>
      )}
    </Section>
  );
}

function Edit({ of, onClose }: { of: { name: string; namespace: string }; onClose: () => void }) {
  const [name, setName] = useState(of.name);
  const [namespace, setNamespace] = useState(of.namespace);
  const [value, setValue] = useState("");
  const put = useSend("put", "/api/v1/secrets/{namespace}/{secret}");
  return (
    <Modal
      opened
      onClose={onClose}
      title={<strong>{of.name ? `Replace ${of.name}` : "Set a secret"}</strong>}
    >
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault();
          put.mutate({ path: { namespace, secret: name }, body: { value } }, { onSuccess: onClose });
        }}
      >
        <TextInput
          label="Name"
          required
          value={name}
          disabled={of.name !== ""}
          onChange={(event) => setName(event.currentTarget.value)}
          data-autofocus={of.name === "" || undefined}
        />
        <TextInput
          label="Namespace"
          required
          value={namespace}
          disabled={of.name !== ""}
          onChange={(event) => setNamespace(event.currentTarget.value)}
        />
        <PasswordInput
          label="Value"
          required
          autoComplete="off"
          value={value}
          onChange={(event) => setValue(event.currentTarget.value)}
        />
        {put.error && <Trouble error={put.error} />}
        <div className={css.buttons}>
          <Button type="submit" variant="filled" loading={put.isPending}>
            {of.name ? "Replace" : "Set"}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
