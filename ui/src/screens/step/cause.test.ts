import { expect, test } from "vitest";
import { errorOf, firstLine, howOf, stepOf } from "./cause";

const failure = {
  message: "",
  types: [],
  cause: "exception",
  traceback: "",
  signal: null,
  exit_code: null,
};

test.each([
  [{ ...failure }, "It raised an exception"],
  [{ ...failure, cause: "signal", signal: 11 }, "Its process was killed by SIGSEGV"],
  [{ ...failure, cause: "signal", signal: 64 }, "Its process was killed by signal 64"],
  [{ ...failure, cause: "exit", exit_code: 3 }, "It ended its process with exit code 3"],
  [{ ...failure, cause: "something_new" }, "something new"],
])("%j is said as %s", (given, how) => {
  expect(howOf(given)).toBe(how);
});

test("an exception is named once", () => {
  const given = { ...failure, types: ["builtins.ValueError"], message: "no such file\nmore" };
  expect(errorOf(given)).toBe("ValueError: no such file\nmore");
  expect(errorOf({ ...given, message: "ValueError: no" })).toBe("ValueError: no");
  expect(errorOf({ ...given, message: "" })).toBe("ValueError");
  expect(firstLine(errorOf(given))).toBe("ValueError: no such file");
});

test("a subject is a step, an instance of one, or something else", () => {
  const steps = new Set(["extract", "odd[name]"]);
  expect(stepOf("extract", steps)).toEqual({ step: "extract", index: "" });
  expect(stepOf("extract[3.1]", steps)).toEqual({ step: "extract", index: "3.1" });
  expect(stepOf("odd[name]", steps)).toEqual({ step: "odd[name]", index: "" });
  expect(stepOf("pool db", steps)).toBeNull();
});
