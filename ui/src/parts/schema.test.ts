import { expect, test } from "vitest";
import { fieldOf, initial, type JsonSchema, problems, schemaOfParameters } from "./schema";

const root: JsonSchema = { $defs: { Size: { enum: ["s", "m"], description: "how big" } } };

test.each<[JsonSchema, string, boolean]>([
  [{ type: "string" }, "text", false],
  [{ type: "string", maxLength: 4000 }, "long", false],
  [{ type: "string", format: "date" }, "date", false],
  [{ type: "string", format: "date-time" }, "instant", false],
  [{ type: ["integer", "null"] }, "integer", true],
  [{ anyOf: [{ type: "number" }, { type: "null" }] }, "number", true],
  [{ anyOf: [{ type: "number" }, { type: "string" }] }, "json", false],
  [{ anyOf: [{ const: "a" }, { const: "b" }] }, "choice", false],
  [{ $ref: "#/$defs/Size" }, "choice", false],
  [{ allOf: [{ $ref: "#/$defs/Size" }], title: "size" }, "choice", false],
  [{ enum: ["a", null] }, "choice", true],
  [{ type: "array", items: { type: "string" } }, "list", false],
  [{ type: "array", prefixItems: [{ type: "string" }], items: false }, "json", false],
  [{ type: "object", properties: { a: {} } }, "object", false],
  [{ type: "object", additionalProperties: { type: "number" } }, "map", false],
  [{ type: "object" }, "json", false],
  [{}, "json", false],
])("%j is asked for as %s", (schema, kind, nullable) => {
  expect(fieldOf(schema, root)).toMatchObject({ kind, nullable });
});

test("a reference to itself ends", () => {
  const tree: JsonSchema = {
    type: "object",
    properties: { left: { $ref: "#" }, name: { type: "string" } },
    required: ["left"],
  };
  expect(() => initial(tree, tree)).not.toThrow();
  expect(fieldOf({ $ref: "#/$defs/a" }, { $defs: { a: { $ref: "#/$defs/a" } } }).kind).toBe("json");
});

test("a field begins with its default, an object with those of its parts", () => {
  const schema: JsonSchema = {
    type: "object",
    properties: {
      region: { type: "string", default: "eu" },
      rows: { type: "integer" },
      tags: { type: "array", items: { type: "string" } },
      dry: { type: "boolean" },
      note: { type: ["string", "null"] },
    },
    required: ["rows"],
  };
  expect(initial(schema, schema)).toEqual({ region: "eu", tags: [], dry: false });
});

test("what is wrong is told where it is", () => {
  const schema: JsonSchema = {
    type: "object",
    required: ["rows", "name"],
    properties: {
      rows: { type: "integer", minimum: 1, maximum: 10 },
      name: { type: "string", pattern: "^[a-z]+$" },
      size: { $ref: "#/$defs/Size" },
      days: { type: "array", items: { type: "string", format: "date" } },
    },
    $defs: root.$defs!,
  };
  expect(problems({ rows: 1.5, name: "A", size: "xl", days: ["2026-11-22", "soon"] }, schema)).toEqual({
    rows: "a whole number is expected",
    name: "a text like ^[a-z]+$ is expected",
    size: "one of s, m is expected",
    "days[1]": "a date is expected, such as 2026-11-22",
  });
  expect(problems({ rows: 11 }, schema)).toEqual({ rows: "at most 10 is expected", name: "this is needed" });
  expect(problems({ rows: 3, name: "a" }, schema)).toEqual({});
});

test("a pattern that browsers do not know forbids nothing", () => {
  expect(problems("x", { type: "string", pattern: "(?P<a>x)" })).toEqual({});
});

test("the parameters of a pipeline are one form", () => {
  const schema = schemaOfParameters([
    { name: "region", schema: { type: "string" }, required: true, description: "where" },
    { name: "rows", schema: { type: "integer" }, required: false, default: 3, description: "" },
  ]);
  expect(initial(schema, schema)).toEqual({ rows: 3 });
  expect(problems({ rows: 3 }, schema)).toEqual({ region: "this is needed" });
  expect(schema.properties?.region?.description).toBe("where");
});
