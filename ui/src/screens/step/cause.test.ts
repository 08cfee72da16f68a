import { expect, test } from "vitest";
import { errorOf, firstLine, howOf, ownFrame, stepOf } from "./cause";

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

const TRACE = `Traceback (most recent call last):
  File "/srv/shop/pipelines.py", line 12, in load
    return read(day)
           ^^^^^^^^^
  File "/srv/shop/tables/orders.py", line 40, in read
    return pandas.read_csv(file)
  File "/srv/.venv/lib/python3.12/site-packages/pandas/io/parsers.py", line 900, in read_csv
    raise FileNotFoundError(file)
FileNotFoundError: orders.csv`;

test("the frame to look at first is the last one of one's own code", () => {
  expect(ownFrame(TRACE)).toEqual({
    file: "tables/orders.py",
    line: 40,
    name: "read",
    code: "return pandas.read_csv(file)",
  });
});

test("a traceback of libraries alone has none", () => {
  expect(ownFrame('  File "/usr/lib/python3.12/json/decoder.py", line 3, in decode\n    x()')).toBeNull();
  expect(ownFrame("killed")).toBeNull();
});
