import { expect, test } from "vitest";
import { bare, pieces } from "./ansi";

test("a line without escapes is one piece", () => {
  expect(pieces("plain <b>text</b>")).toEqual([{ text: "plain <b>text</b>", style: {} }]);
  expect(pieces("")).toEqual([]);
});

test("colours begin and end", () => {
  expect(pieces("\u001b[1;31mERROR\u001b[0m it \u001b[92mwas\u001b[39m so")).toEqual([
    { text: "ERROR", style: { fg: "red", bold: true } },
    { text: " it ", style: {} },
    { text: "was", style: { fg: "green" } },
    { text: " so", style: {} },
  ]);
});

test.each([
  ["\u001b[38;5;196mx", "red"],
  ["\u001b[38;5;21mx", "blue"],
  ["\u001b[38;2;10;200;20mx", "green"],
  ["\u001b[38;5;250mx", "white"],
])("%j is the nearest of the eight", (line, colour) => {
  expect(pieces(line)[0]?.style.fg).toBe(colour);
});

test("what moves the cursor, sets titles or rings is left out", () => {
  expect(
    bare("\u001b[2K\u001b[1Gone\u001b]0;title\u0007two\u0007\u001b]8;;http://x\u001b\\three\u0000"),
  ).toBe("onetwothree");
});

test("an escape that does not end does no harm", () => {
  expect(bare("\u001b[")).toBe("[");
  expect(bare("a\u001b]0;never ended")).toBe("a");
});
