/**
 * JSON Schema as far as a form needs it: what a field is, what stands in it at first, and what is wrong with it.
 *
 * Rule: what is not understood is asked for as JSON, never left out; the server has the last word.
 */

export type JsonSchema = {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  items?: JsonSchema | boolean;
  prefixItems?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
};

export type FieldKind =
  | "text"
  | "long"
  | "number"
  | "integer"
  | "boolean"
  | "choice"
  | "date"
  | "instant"
  | "list"
  | "object"
  | "map"
  | "json";

/** What a schema asks for: the schema itself with references followed, its kind, and whether nothing may be said. */
export type Field = { kind: FieldKind; schema: JsonSchema; nullable: boolean };

const DEEPEST = 12;

/** Anything as a schema; what is none asks for any value. */
export function schemaOf(given: unknown): JsonSchema {
  return given !== null && typeof given === "object" && !Array.isArray(given) ? (given as JsonSchema) : {};
}

/** Follow `$ref`, and join a lone `allOf`, as generators of schemas write it. */
export function resolved(schema: JsonSchema, root: JsonSchema, depth = 0): JsonSchema {
  const only = schema.allOf?.length === 1 ? schema.allOf[0] : undefined;
  if (depth > DEEPEST || (!schema.$ref && !only)) return schema;
  const { $ref, allOf: _, ...rest } = schema;
  let found: unknown = only ?? root;
  if ($ref)
    for (const part of $ref.replace(/^#\/?/, "").split("/").filter(Boolean)) {
      const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
      found = found !== null && typeof found === "object" ? (found as Record<string, unknown>)[name] : {};
    }
  // What stands beside a reference (a title, a default) is nearer than what it leads to.
  return resolved({ ...schemaOf(found), ...rest }, root, depth + 1);
}

/** What kind of field a schema needs. */
export function fieldOf(given: JsonSchema, root: JsonSchema): Field {
  let schema = resolved(given, root);
  let nullable = false;
  const options = schema.anyOf ?? schema.oneOf;
  if (options) {
    const others = options.map((one) => resolved(one, root)).filter((one) => one.type !== "null");
    nullable = others.length < options.length;
    const { anyOf: _a, oneOf: _o, ...rest } = schema;
    if (others.length === 1) schema = { ...others[0], ...rest };
    else if (others.length > 0 && others.every((one) => one.const !== undefined))
      schema = { ...rest, enum: others.map((one) => one.const) };
    else return { kind: "json", schema, nullable };
  }
  const types = Array.isArray(schema.type) ? schema.type : schema.type ? [schema.type] : [];
  const plain = types.filter((type) => type !== "null");
  nullable ||= plain.length < types.length;
  if (schema.enum) {
    const values = schema.enum.filter((value) => value !== null);
    nullable ||= values.length < schema.enum.length;
    return { kind: "choice", schema: { ...schema, enum: values }, nullable };
  }
  return { kind: plain.length === 1 ? kindOf(plain[0]!, schema) : "json", schema, nullable };
}

function kindOf(type: string, schema: JsonSchema): FieldKind {
  switch (type) {
    case "string":
      if (schema.format === "date") return "date";
      if (schema.format === "date-time") return "instant";
      return (schema.maxLength ?? 0) > 200 || schema.format === "textarea" ? "long" : "text";
    case "integer":
    case "number":
    case "boolean":
      return type;
    case "array":
      return schema.items !== undefined && typeof schema.items === "object" && !schema.prefixItems
        ? "list"
        : "json";
    case "object":
      if (schema.properties && Object.keys(schema.properties).length > 0) return "object";
      return typeof schema.additionalProperties === "object" ? "map" : "json";
    default:
      return "json";
  }
}

/** What stands in a field at first: its default, or as little as its type allows; `undefined` = nothing was said yet. */
export function initial(given: JsonSchema, root: JsonSchema, depth = 0): unknown {
  const { kind, schema, nullable } = fieldOf(given, root);
  if (schema.default !== undefined) return structuredClone(schema.default);
  if (nullable || depth > DEEPEST) return nullable ? null : undefined;
  if (kind === "object") {
    const found: Record<string, unknown> = {};
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      const value = initial(property, root, depth + 1);
      // Null is not said for what may be left out: the function's own default counts there.
      if (value !== undefined && (value !== null || schema.required?.includes(name))) found[name] = value;
    }
    return found;
  }
  if (kind === "list") return [];
  if (kind === "map") return {};
  if (kind === "boolean") return false;
  if (kind === "choice" && schema.enum?.length === 1) return schema.enum[0];
  return undefined;
}

/** What is wrong, by place: "" is the whole, "a.b[0]" a part of it. Empty: all is well. */
export function problems(
  value: unknown,
  given: JsonSchema,
  root: JsonSchema = given,
): Record<string, string> {
  const found: Record<string, string> = {};
  look(value, given, root, "", found, 0);
  return found;
}

/** The place of a part within a whole. */
export function within(path: string, name: string | number): string {
  if (typeof name === "number") return `${path}[${name}]`;
  return path ? `${path}.${name}` : name;
}

type Found = Record<string, string>;

function look(
  value: unknown,
  given: JsonSchema,
  root: JsonSchema,
  path: string,
  found: Found,
  depth: number,
) {
  const { kind, schema, nullable } = fieldOf(given, root);
  if ((value === null && nullable) || depth > DEEPEST) return;
  const wrong =
    value === undefined ? "this is needed" : (WRONG[kind] ?? (() => ""))(value as never, schema) || "";
  if (wrong) {
    found[path] = wrong;
    return;
  }
  if (kind === "list" && Array.isArray(value))
    value.forEach((item, at) => {
      look(item, schemaOf(schema.items), root, within(path, at), found, depth + 1);
    });
  if (kind === "map")
    for (const [name, item] of Object.entries(value as object))
      look(item, schemaOf(schema.additionalProperties), root, within(path, name), found, depth + 1);
  if (kind === "object") {
    const said = value as Record<string, unknown>;
    for (const [name, property] of Object.entries(schema.properties ?? {}))
      if (said[name] !== undefined || schema.required?.includes(name))
        look(said[name], property, root, within(path, name), found, depth + 1);
  }
}

const WRONG: Partial<Record<FieldKind, (value: never, schema: JsonSchema) => string>> = {
  text: wrongText,
  long: wrongText,
  number: wrongNumber,
  integer: (value: unknown, schema) =>
    typeof value === "number" && !Number.isInteger(value)
      ? "a whole number is expected"
      : wrongNumber(value, schema),
  boolean: (value: unknown) => (typeof value === "boolean" ? "" : "yes or no is expected"),
  choice: (value: unknown, schema) =>
    schema.enum?.some((one) => same(one, value))
      ? ""
      : `one of ${schema.enum?.map(String).join(", ")} is expected`,
  date: (value: unknown) =>
    typeof value === "string" && /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value))
      ? ""
      : "a date is expected, such as 2026-11-22",
  instant: (value: unknown) =>
    typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value) && !Number.isNaN(Date.parse(value))
      ? ""
      : "an instant is expected, such as 2026-11-22T03:00Z",
  list: (value: unknown, schema) => {
    if (!Array.isArray(value)) return "a list is expected";
    if (value.length < (schema.minItems ?? 0)) return `at least ${schema.minItems} are expected`;
    return value.length > (schema.maxItems ?? Number.POSITIVE_INFINITY)
      ? `at most ${schema.maxItems} are expected`
      : "";
  },
  object: (value: unknown) => (isObject(value) ? "" : "an object is expected"),
  map: (value: unknown) => (isObject(value) ? "" : "an object is expected"),
};

function wrongText(value: unknown, schema: JsonSchema): string {
  if (typeof value !== "string") return "a text is expected";
  if (value.length < (schema.minLength ?? 0))
    return schema.minLength === 1 ? "this is needed" : `at least ${schema.minLength} characters are expected`;
  if (value.length > (schema.maxLength ?? Number.POSITIVE_INFINITY))
    return `at most ${schema.maxLength} characters are expected`;
  if (schema.pattern !== undefined && value.length <= 1000 && !matches(schema.pattern, value))
    return `a text like ${schema.pattern} is expected`;
  return "";
}

function wrongNumber(value: unknown, schema: JsonSchema): string {
  if (typeof value !== "number" || Number.isNaN(value)) return "a number is expected";
  if (schema.minimum !== undefined && value < schema.minimum) return `at least ${schema.minimum} is expected`;
  if (schema.maximum !== undefined && value > schema.maximum) return `at most ${schema.maximum} is expected`;
  if (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum)
    return `more than ${schema.exclusiveMinimum} is expected`;
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum)
    return `less than ${schema.exclusiveMaximum} is expected`;
  return "";
}

function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    // A pattern of Python's that browsers do not know: the server will look.
    return true;
  }
}

/** Whether two plain values are the same. */
export function same(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

export type Parameter = {
  name: string;
  schema: unknown;
  required: boolean;
  default?: unknown;
  description: string;
};

/** The parameters of a pipeline as one object's schema, for its launch form. */
export function schemaOfParameters(parameters: Parameter[]): JsonSchema {
  return {
    type: "object",
    properties: Object.fromEntries(
      parameters.map(({ name, schema, required, default: given, description }) => [
        name,
        {
          ...schemaOf(schema),
          ...(description ? { description } : {}),
          ...(required ? {} : { default: given ?? null }),
        },
      ]),
    ),
    required: parameters.filter((one) => one.required).map((one) => one.name),
    // Types that are defined once stand in the schema of each parameter that has them.
    $defs: Object.assign({}, ...parameters.map((one) => schemaOf(one.schema).$defs ?? {})),
  };
}
