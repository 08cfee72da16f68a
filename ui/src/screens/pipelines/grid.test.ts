import { expect, test } from "vitest";
import { type GridStep, rowsOf, stateOf, worstOf } from "./grid";

const step = (name: string, ...group: string[]): GridStep => ({
  step: name,
  group,
  mapped: false,
  gone: false,
});
const plain = { words: "", bad: false, turned: new Set<string>() };
const seen = (rows: ReturnType<typeof rowsOf>) =>
  rows.map((row) => `${row.kind === "group" ? `${row.name}/` : row.step.step} ${row.letters}`);

test("letters are states, and the worst of several is seen", () => {
  expect(stateOf("u")).toBe("upstream_failed");
  expect(stateOf(".")).toBe("");
  expect(worstOf("s.sfs")).toBe("f");
  expect(worstOf("..")).toBe(".");
});

test("a group stands above its steps with the worst of each run", () => {
  const rows = rowsOf([step("a", "raw"), step("b", "raw"), step("c")], ["sfs", "sss"], plain);
  expect(seen(rows)).toEqual(["raw/ fs", "a ss", "b fs", "c ss"]);
});

test("a group that is turned over is shut", () => {
  const rows = rowsOf([step("a", "raw"), step("c")], ["ss"], { ...plain, turned: new Set(["raw"]) });
  expect(seen(rows)).toEqual(["raw/ s", "c s"]);
});

test("of many steps the groups are shut, but for those that failed last", () => {
  const steps = [...Array.from({ length: 50 }, (_, at) => step(`a${at}`, "raw")), step("b", "marts")];
  const rows = rowsOf(steps, [`${"s".repeat(50)}f`], plain);
  expect(seen(rows)).toEqual(["raw/ s", "marts/ f", "b f"]);
});

test("only what failed, only what is named so", () => {
  const steps = [step("load"), step("clean"), step("load_more")];
  expect(seen(rowsOf(steps, ["fsu"], { ...plain, bad: true }))).toEqual(["load f", "load_more u"]);
  expect(seen(rowsOf(steps, ["fsu"], { ...plain, words: "more lo" }))).toEqual(["load_more u"]);
});
