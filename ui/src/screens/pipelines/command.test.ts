import { expect, test } from "vitest";
import { quoted } from "@/parts/shell";
import { commandOf, type Launch, saidOf } from "./command";

const plain: Launch = {
  pipeline: "nightly",
  params: {},
  partition: "",
  select: "",
  tags: [],
  priority: 0,
  failFast: null,
};

test("nothing chosen is the bare command", () => {
  expect(commandOf(plain)).toBe("partita run nightly");
});

test("everything chosen stands in it, quoted for a shell", () => {
  const launch = {
    ...plain,
    params: { region: "eu west", airports: ["EWR"], strict: false, left: undefined },
    partition: "2026-11-21|eu",
    select: "load+",
    tags: ["it's"],
    priority: 5,
    failFast: true,
  };
  expect(commandOf(launch)).toBe(
    "partita run nightly --partition '2026-11-21|eu' --select load+ -p 'region=eu west' -p 'airports=[\"EWR\"]' " +
      "-p strict=false --tag 'it'\\''s' --priority 5 --fail-fast",
  );
});

test("a word without anything odd is left as it is", () => {
  expect(quoted("a/b:c=1")).toBe("a/b:c=1");
  expect(quoted("$(rm)")).toBe("'$(rm)'");
  expect(quoted("")).toBe("''");
});

test("what the server says goes to the fields that it names", () => {
  const detail =
    "pipeline `p` cannot run with these parameters: `region` is 'mars': one of 'eu'; 'us' is expected; `days` is missing: a value of type integer is expected";
  expect(saidOf(detail, ["region", "days"])).toEqual({
    region: "is 'mars': one of 'eu'; 'us' is expected",
    days: "is missing: a value of type integer is expected",
  });
  expect(saidOf("there is no pipeline `region`", ["region"])).toEqual({});
});
