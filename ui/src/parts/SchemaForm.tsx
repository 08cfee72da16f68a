/** A form out of a JSON Schema: typed answers of approvals, parameters of pipelines. `value` is the JSON itself. */
import {
  ActionIcon,
  Button,
  Checkbox,
  NumberInput,
  Select,
  Switch,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { type ReactNode, useId, useMemo, useState } from "react";
import css from "./SchemaForm.module.css";
import {
  type Field,
  fieldOf,
  initial,
  isObject,
  type JsonSchema,
  problems,
  same,
  schemaOf,
  within,
} from "./schema";

export type FormState = {
  value: unknown;
  set: (value: unknown) => void;
  /** What is wrong, by place; empty = may be sent. */
  wrong: Record<string, string>;
  schema: JsonSchema;
  /** Show what is wrong also of fields that were not touched; call it when somebody tries to send. */
  showAll: () => void;
  shown: boolean;
};

/** The state of a form; `given` is what stands in it at first instead of the defaults. */
export function useForm(schema: unknown, given?: unknown): FormState {
  const root = useMemo(() => schemaOf(schema), [schema]);
  const [said, set] = useState<{ value: unknown } | null>(given === undefined ? null : { value: given });
  const [shown, show] = useState(false);
  const first = useMemo(() => initial(root, root), [root]);
  const value = said === null ? first : said.value;
  const wrong = useMemo(() => problems(value, root), [value, root]);
  return {
    value,
    set: (next) => set({ value: next }),
    wrong,
    schema: root,
    showAll: () => show(true),
    shown,
  };
}

/** The fields of a form. `name` is said where the schema is no object. */
export function SchemaForm({ form, name = "answer" }: { form: FormState; name?: string }) {
  const field = fieldOf(form.schema, form.schema);
  return (
    <div className={css.form}>
      {field.kind === "object" && !field.nullable ? (
        <Parts form={form} field={field} value={form.value} onChange={form.set} path="" />
      ) : (
        <Asked
          form={form}
          schema={form.schema}
          name={name}
          path=""
          value={form.value}
          onChange={form.set}
          needed
        />
      )}
    </div>
  );
}

type Part = {
  form: FormState;
  schema: JsonSchema;
  name: string;
  path: string;
  value: unknown;
  onChange: (value: unknown) => void;
  needed?: boolean;
};

function Parts({
  form,
  field,
  value,
  onChange,
  path,
}: {
  form: FormState;
  field: Field;
  value: unknown;
  onChange: (value: unknown) => void;
  path: string;
}) {
  const said = isObject(value) ? value : {};
  return Object.entries(field.schema.properties ?? {}).map(([name, property]) => (
    <Asked
      key={name}
      form={form}
      schema={property}
      name={name}
      path={within(path, name)}
      value={said[name]}
      needed={field.schema.required?.includes(name)}
      onChange={(next) => {
        const { [name]: _, ...rest } = said;
        onChange(next === undefined ? rest : { ...rest, [name]: next });
      }}
    />
  ));
}

/** One field, whatever its type. */
function Asked({ form, schema, name, path, value, onChange, needed }: Part) {
  const [touched, touch] = useState(false);
  const field = fieldOf(schema, form.schema);
  const { kind, nullable } = field;
  const own = field.schema;
  const wrong = form.wrong[path];
  const error = wrong && (touched || form.shown) ? wrong : undefined;
  const missing = nullable ? null : undefined;
  const common = {
    label: own.title ?? name,
    description: own.description,
    withAsterisk: needed && !nullable,
    error,
    onBlur: () => touch(true),
    name: path || name,
  };
  const text = typeof value === "string" ? value : "";
  const words = (next: string) => onChange(next === "" && (nullable || !needed) ? missing : next);
  switch (kind) {
    case "boolean":
      return nullable ? (
        <Select
          {...common}
          data={["yes", "no"]}
          value={typeof value === "boolean" ? (value ? "yes" : "no") : null}
          onChange={(next) => onChange(next === null ? null : next === "yes")}
          clearable
        />
      ) : (
        <Switch
          label={common.label}
          description={own.description}
          error={error}
          name={common.name}
          checked={value === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      );
    case "number":
    case "integer":
      return (
        <NumberInput
          {...common}
          value={typeof value === "number" ? value : text}
          onChange={(next) => onChange(next === "" ? missing : next)}
          allowDecimal={kind === "number"}
          clampBehavior="none"
          placeholder={rangeOf(own)}
        />
      );
    case "choice":
      return (
        <Choice {...common} options={own.enum ?? []} value={value} onChange={onChange} missing={missing} />
      );
    case "long":
      return <Textarea {...common} value={text} onChange={(event) => words(event.currentTarget.value)} />;
    case "date":
      return (
        <TextInput
          {...common}
          type="date"
          value={text}
          onChange={(event) => onChange(event.currentTarget.value || missing)}
        />
      );
    case "text":
    case "instant":
      return (
        <TextInput
          {...common}
          value={text}
          placeholder={kind === "instant" ? "2026-11-22T03:00Z" : undefined}
          onChange={(event) => words(event.currentTarget.value)}
        />
      );
    case "object":
      return (
        <Group legend={common.label} own={own} error={error} needed={needed && !nullable}>
          {nullable && (
            <Checkbox
              label={`say ${common.label}`}
              checked={value !== null && value !== undefined}
              onChange={(event) =>
                onChange(
                  event.currentTarget.checked ? initial({ ...own, default: undefined }, form.schema) : null,
                )
              }
            />
          )}
          {(!nullable || isObject(value)) && (
            <Parts form={form} field={field} value={value} onChange={onChange} path={path} />
          )}
        </Group>
      );
    case "list":
      return (
        <List
          form={form}
          own={own}
          path={path}
          value={value}
          onChange={onChange}
          error={error}
          name={common.label}
        />
      );
    case "map":
      return (
        <Pairs
          form={form}
          own={own}
          path={path}
          value={value}
          onChange={onChange}
          error={error}
          name={common.label}
        />
      );
    default:
      return <Json common={common} value={value} onChange={onChange} missing={missing} needed={needed} />;
  }
}

function rangeOf({ minimum, maximum }: JsonSchema): string | undefined {
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  if (minimum !== undefined) return `at least ${minimum}`;
  return maximum === undefined ? undefined : `at most ${maximum}`;
}

type Common = {
  label: string;
  description: string | undefined;
  withAsterisk: boolean | undefined;
  error: string | undefined;
  onBlur: () => void;
  name: string;
};

function Choice({
  options,
  value,
  onChange,
  missing,
  ...common
}: Common & {
  options: unknown[];
  value: unknown;
  onChange: (value: unknown) => void;
  missing: null | undefined;
}) {
  const at = options.findIndex((one) => same(one, value));
  return (
    <Select
      {...common}
      data={options.map((one, index) => ({
        value: String(index),
        label: typeof one === "string" ? one : JSON.stringify(one),
      }))}
      value={at < 0 ? null : String(at)}
      onChange={(next) => onChange(next === null ? missing : options[Number(next)])}
      clearable={missing === null}
      searchable={options.length > 8}
    />
  );
}

function Group({
  legend,
  own,
  error,
  needed,
  children,
}: {
  legend: string;
  own: JsonSchema;
  error?: string | undefined;
  needed?: boolean | undefined;
  children: ReactNode;
}) {
  return (
    <fieldset className={css.group}>
      <legend>
        {legend}
        {needed && (
          <span className={css.needed} aria-hidden>
            *
          </span>
        )}
        {own.description && <span className={css.said}>{own.description}</span>}
      </legend>
      {children}
      {error && (
        <span className={css.error} role="alert">
          {error}
        </span>
      )}
    </fieldset>
  );
}

type Several = {
  form: FormState;
  own: JsonSchema;
  path: string;
  value: unknown;
  onChange: (value: unknown) => void;
  error: string | undefined;
  name: string;
};

function List({ form, own, path, value, onChange, error, name }: Several) {
  const items = Array.isArray(value) ? value : [];
  const of = schemaOf(own.items);
  return (
    <Group legend={name} own={own} error={error}>
      {items.map((item, at) => (
        <div key={at} className={css.row}>
          <div className={css.grow}>
            <Asked
              form={form}
              schema={of}
              name={`${name} ${at + 1}`}
              path={within(path, at)}
              value={item}
              needed
              onChange={(next) => onChange(items.map((one, index) => (index === at ? next : one)))}
            />
          </div>
          <ActionIcon
            aria-label={`remove ${name} ${at + 1}`}
            onClick={() => onChange(items.filter((_, index) => index !== at))}
          >
            <IconX size={14} />
          </ActionIcon>
        </div>
      ))}
      <div>
        <Button
          leftSection={<IconPlus size={13} />}
          // JSON knows no "nothing yet": a text begins empty, what else there is with null.
          onClick={() =>
            onChange([
              ...items,
              initial(of, form.schema) ?? (fieldOf(of, form.schema).kind === "text" ? "" : null),
            ])
          }
          disabled={items.length >= (own.maxItems ?? 500)}
        >
          Add
        </Button>
      </div>
    </Group>
  );
}

/** An object whose names are free. */
function Pairs({ form, own, path, value, onChange, error, name }: Several) {
  const pairs = isObject(value) ? Object.entries(value) : [];
  const [next, setNext] = useState("");
  const of = schemaOf(own.additionalProperties);
  const id = useId();
  const add = () => {
    if (!next || pairs.some(([key]) => key === next)) return;
    onChange({ ...Object.fromEntries(pairs), [next]: initial(of, form.schema) ?? null });
    setNext("");
  };
  return (
    <Group legend={name} own={own} error={error}>
      {pairs.map(([key, item]) => (
        <div key={key} className={css.row}>
          <div className={css.grow}>
            <Asked
              form={form}
              schema={of}
              name={key}
              path={within(path, key)}
              value={item}
              needed
              onChange={(one) => onChange({ ...Object.fromEntries(pairs), [key]: one ?? null })}
            />
          </div>
          <ActionIcon
            aria-label={`remove ${key}`}
            onClick={() => onChange(Object.fromEntries(pairs.filter(([other]) => other !== key)))}
          >
            <IconX size={14} />
          </ActionIcon>
        </div>
      ))}
      <div className={css.row}>
        <TextInput
          id={id}
          className={css.grow}
          aria-label={`a new name in ${name}`}
          placeholder="name"
          value={next}
          onChange={(event) => setNext(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              add();
            }
          }}
        />
        <Button leftSection={<IconPlus size={13} />} onClick={add} disabled={!next}>
          Add
        </Button>
      </div>
    </Group>
  );
}

/** Whatever else: JSON as text, kept while it is none yet. */
function Json({
  common,
  value,
  onChange,
  missing,
  needed,
}: {
  common: Common;
  value: unknown;
  onChange: (value: unknown) => void;
  missing: null | undefined;
  needed: boolean | undefined;
}) {
  const [text, setText] = useState(() => (value === undefined ? "" : JSON.stringify(value, null, 2)));
  const [bad, setBad] = useState("");
  const change = (next: string) => {
    setText(next);
    if (next.trim() === "") {
      setBad("");
      onChange(missing);
      return;
    }
    try {
      const read: unknown = JSON.parse(next);
      setBad("");
      onChange(read);
    } catch {
      setBad('this is no JSON: texts stand in quotes, such as "eu"');
      // What cannot be sent is not sent in an older form.
      if (needed) onChange(undefined);
    }
  };
  return (
    <Textarea
      {...common}
      error={bad || common.error}
      placeholder='JSON, such as {"a": 1}'
      value={text}
      onChange={(event) => change(event.currentTarget.value)}
      className="mono"
    />
  );
}
