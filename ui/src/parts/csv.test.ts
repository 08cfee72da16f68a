import { expect, test } from "vitest";
import { csvOf } from "./csv";

test("commas, quotes and lines stay within their field", () => {
  expect(
    csvOf([
      ["a", "b"],
      ['say "x"', "1,2"],
      ["two\nlines", 3],
    ]),
  ).toBe('a,b\r\n"say ""x""","1,2"\r\n"two\nlines",3');
});

test.each(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])("%j is no formula", (value) => {
  expect(csvOf([[value]])).toMatch(/^"?'/);
});

test("a negative number stays a number", () => {
  expect(csvOf([[-1]])).toBe("-1");
});
