import { expect, test } from "vitest";
import { quoted } from "./shell";

test("what a shell would read is quoted", () => {
  expect(["2013-01-01..2013-01-31", "$(rm)", "a b"].map(quoted)).toEqual([
    "2013-01-01..2013-01-31",
    "'$(rm)'",
    "'a b'",
  ]);
});
