import { expect, test } from "vitest";
import { safeHref } from "./links";

test("only addresses of the web and our own paths become links", () => {
  expect(safeHref("https://example.org/a?b#c")).toBe("https://example.org/a?b#c");
  expect(safeHref("/runs/12")).toBe("/runs/12");
  expect(safeHref("mailto:a@example.org")).toBe("mailto:a@example.org");
});

test.each([
  "javascript:alert(1)",
  " javascript:alert(1)",
  "JaVaScRiPt:alert(1)",
  "java\nscript:alert(1)",
  "\u0001javascript:alert(1)",
  "data:text/html,<script>alert(1)</script>",
  "vbscript:x",
  "//evil.example",
  "/\\evil.example",
  "/a\nb",
  "file:///etc/passwd",
  "blob:https://a/b",
  "",
  "no address",
  12,
  null,
  "x".repeat(5000),
])("%j is text", (address) => {
  expect(safeHref(address)).toBeUndefined();
});
