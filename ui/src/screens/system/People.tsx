/** Users with their roles, and tokens of programs. */
import { Button, Modal, MultiSelect, NumberInput, PasswordInput, TagsInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { type Schema, send, usePages, useSend } from "@/api/client";
import { Copy } from "@/parts/Command";
import { Confirm } from "@/parts/Confirm";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Table } from "@/parts/Table";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./System.module.css";

type User = Schema<"User">;
type Token = Schema<"Token">;

const ROLES = ["viewer", "operator", "author", "admin"];

export default function People() {
  return (
    <>
      <Users />
      <Tokens />
    </>
  );
}

function Users() {
  const users = usePages("/api/v1/users", { query: { limit: 200 } });
  const [edited, edit] = useState<Partial<User> | null>(null);
  const [closing, close] = useState<User | null>(null);
  const del = useSend("delete", "/api/v1/users/{user}");
  const open = useSend("put", "/api/v1/users/{user}");
  const columns: Column<User>[] = [
    { id: "name", head: "User", cell: (row) => row.name, value: (row) => row.name, width: "20%" },
    { id: "roles", head: "Roles", cell: (row) => row.roles.join(", "), value: (row) => row.roles.join(" ") },
    {
      id: "signs",
      head: "Signs in by",
      cell: (row) => row.signs_in,
      value: (row) => row.signs_in,
      width: "130px",
      wide: true,
    },
    {
      id: "active",
      head: "Standing",
      cell: (row) => <State state={row.active ? "on" : "closed"} />,
      value: (row) => String(row.active),
      width: "110px",
    },
    {
      id: "changed",
      head: "Changed",
      cell: (row) => <When at={row.changed_at} />,
      value: (row) => row.changed_at,
      width: "110px",
      wide: true,
    },
    {
      id: "do",
      head: <span className="visually-hidden">Change</span>,
      cell: (row) => (
        <span className={css.inline}>
          <Button onClick={() => edit(row)} aria-label={`change ${row.name}`}>
            Change
          </Button>
          {row.active ? (
            <Button onClick={() => close(row)} aria-label={`close ${row.name}`}>
              Close
            </Button>
          ) : (
            <Button
              onClick={() => open.mutate({ path: { user: row.name }, body: { active: true } })}
              aria-label={`open ${row.name} again`}
            >
              Open
            </Button>
          )}
        </span>
      ),
      width: "190px",
    },
  ];
  return (
    <Section
      title="Users"
      aside={
        <Button variant="filled" onClick={() => edit({})}>
          Add a user
        </Button>
      }
    >
      <Loaded query={{ ...users, data: users.data && users.items }}>
        {(items) => (
          <Table
            name="users"
            columns={columns}
            rows={items}
            rowKey={(row) => row.name}
            more={users.more}
            hasMore={users.hasMore}
            noKeys
            empty={
              <Empty
                title="No user yet"
                code={`# pyproject.toml
[tool.partita.server]
auth = "password"`}
              >
                On this machine its own user is let in by a link. For others, switch on passwords or your
                organisation's sign-in, and add them here.
              </Empty>
            }
          />
        )}
      </Loaded>
      {edited && <EditUser of={edited} onClose={() => edit(null)} />}
      {closing && (
        <Confirm
          opened
          danger
          title={`Close the account of ${closing.name}?`}
          action="Close"
          onClose={() => close(null)}
          onConfirm={() => del.mutateAsync({ path: { user: closing.name } })}
        >
          <p>Their sessions and tokens end at once. What they did stays under their name.</p>
        </Confirm>
      )}
    </Section>
  );
}

function EditUser({ of, onClose }: { of: Partial<User>; onClose: () => void }) {
  const isNew = of.name === undefined;
  const [name, setName] = useState(of.name ?? "");
  const [roles, setRoles] = useState<string[]>(of.roles ?? ["viewer"]);
  const [password, setPassword] = useState("");
  const put = useSend("put", "/api/v1/users/{user}");
  const save = () =>
    put.mutate(
      { path: { user: name }, body: { roles, ...(password ? { password } : {}) } },
      { onSuccess: onClose },
    );
  return (
    <Modal opened onClose={onClose} title={<strong>{isNew ? "Add a user" : `Change ${of.name}`}</strong>}>
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <TextInput
          label="Name"
          required
          disabled={!isNew}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          data-autofocus={isNew || undefined}
        />
        <TagsInput
          label="Roles"
          description="viewer, operator, author, admin; of one namespace: sales:operator"
          data={ROLES}
          value={roles}
          onChange={setRoles}
        />
        <PasswordInput
          label={isNew ? "Password" : "New password"}
          description={isNew ? undefined : "left empty, it stays"}
          autoComplete="new-password"
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        {put.error && <Trouble error={put.error} />}
        <div className={css.buttons}>
          <Button type="submit" variant="filled" loading={put.isPending}>
            {isNew ? "Add" : "Save"}
          </Button>
        </div>
      </form>
    </Modal>
  );
}

function Tokens() {
  const tokens = usePages("/api/v1/tokens", { query: { limit: 200 } });
  const [making, make] = useState(false);
  const [gone, remove] = useState<Token | null>(null);
  const revoke = useSend("delete", "/api/v1/tokens/{token}");
  const columns: Column<Token>[] = [
    { id: "name", head: "Token", cell: (row) => row.name, value: (row) => row.name, width: "22%" },
    { id: "owner", head: "Of", cell: (row) => row.owner, value: (row) => row.owner, width: "16%" },
    { id: "scopes", head: "May", cell: (row) => row.scopes.join(", "), value: (row) => row.scopes.join(" ") },
    {
      id: "issued",
      head: "Issued",
      cell: (row) => <When at={row.issued_at} />,
      value: (row) => row.issued_at,
      width: "110px",
      wide: true,
    },
    {
      id: "expires",
      head: "Ends",
      cell: (row) => <When at={row.expires_at} />,
      value: (row) => row.expires_at,
      width: "110px",
    },
    {
      id: "do",
      head: <span className="visually-hidden">Revoke</span>,
      cell: (row) => (
        <Button onClick={() => remove(row)} aria-label={`revoke ${row.name}`}>
          Revoke
        </Button>
      ),
      width: "100px",
    },
  ];
  return (
    <Section
      title="Tokens"
      aside={
        <Button variant="filled" onClick={() => make(true)}>
          Make a token
        </Button>
      }
    >
      <Loaded query={{ ...tokens, data: tokens.data && tokens.items }}>
        {(items) => (
          <Table
            name="tokens"
            columns={columns}
            rows={items}
            rowKey={(row) => row.id}
            more={tokens.more}
            hasMore={tokens.hasMore}
            noKeys
            empty={
              <Empty title="No token yet">A token lets a program in, with what it may and until when.</Empty>
            }
          />
        )}
      </Loaded>
      {making && <MakeToken onClose={() => make(false)} onMade={() => void tokens.refetch()} />}
      {gone && (
        <Confirm
          opened
          danger
          title={`Revoke ${gone.name}?`}
          action="Revoke"
          onClose={() => remove(null)}
          onConfirm={() => revoke.mutateAsync({ path: { token: gone.id } })}
        >
          <p>Whoever uses it is refused from now on.</p>
        </Confirm>
      )}
    </Section>
  );
}

const SCOPES = ["view", "log.read", "operate", "report", "author", "secret.use", "audit.read", "admin"];

function MakeToken({ onClose, onMade }: { onClose: () => void; onMade: () => void }) {
  const [name, setName] = useState("");
  const [namespace, setNamespace] = useState("*");
  const [what, setWhat] = useState<string[]>(["view"]);
  const [days, setDays] = useState<number | string>(90);
  const [made, setMade] = useState<Schema<"NewToken"> | null>(null);
  const [error, setError] = useState<unknown>(null);
  const make = async () => {
    setError(null);
    try {
      setMade(
        await send("post", "/api/v1/tokens", {
          body: { name, scopes: what.map((scope) => `${namespace}:${scope}`), days: Number(days) },
        }),
      );
      onMade();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Modal opened onClose={onClose} title={<strong>Make a token</strong>} closeOnClickOutside={made === null}>
      {made ? (
        <div className={css.once}>
          <p>This is the only time that it is shown. Copy it to where the program finds it.</p>
          <span>
            <code data-testid="token">{made.text}</code> <Copy text={made.text} />
          </span>
          <div className={css.buttons}>
            <Button variant="filled" onClick={onClose}>
              I have it
            </Button>
          </div>
        </div>
      ) : (
        <form
          className={css.form}
          onSubmit={(event) => {
            event.preventDefault();
            void make();
          }}
        >
          <TextInput
            label="Name"
            description="what uses it"
            required
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            data-autofocus
          />
          <TextInput
            label="Namespace"
            description="* is all of them"
            required
            value={namespace}
            onChange={(event) => setNamespace(event.currentTarget.value)}
          />
          <MultiSelect label="It may" data={SCOPES} value={what} onChange={setWhat} required />
          <NumberInput
            label="For so many days"
            min={1}
            max={3650}
            allowDecimal={false}
            value={days}
            onChange={setDays}
          />
          {error !== null && <Trouble error={error} />}
          <div className={css.buttons}>
            <Button type="submit" variant="filled">
              Make
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
