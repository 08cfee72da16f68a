import { expect, test } from "vitest";
import { destination } from "./link";

test("one comes back to where one was going, on this server", () => {
  expect(destination("/runs?state=failed")).toBe("/runs?state=failed");
});

test.each([
  "//evil.example",
  "/\\evil.example",
  "https://evil.example",
  "javascript:alert(1)",
  "/signin?to=/",
  "",
  undefined,
])("%j leads to the first page", (to) => {
  expect(destination(to)).toBe("/");
});
