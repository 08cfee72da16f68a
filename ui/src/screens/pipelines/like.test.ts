import { expect, test } from "vitest";
import { durationOf, paramsLike } from "./like";

test("a run's parameters are taken over, as far as the pipeline still has them", () => {
  const specs = [
    { name: "region", required: true },
    { name: "strict", required: false, default: false },
    { name: "slack", required: false, default: "PT15M", schema: { type: "string", format: "duration" } },
  ];
  expect(paramsLike({ region: "us", slack: 900, gone: 1 }, specs)).toEqual({
    region: "us",
    strict: false,
    slack: "PT15M",
  });
  expect(paramsLike({}, specs)).toEqual({ strict: false, slack: "PT15M" });
});

test("a length of time is written as defaults are", () => {
  expect([0, 900, 86_400, 90_061.5, -60].map(durationOf)).toEqual([
    "PT0S",
    "PT15M",
    "P1D",
    "P1DT1H1M1.5S",
    "-PT1M",
  ]);
});
