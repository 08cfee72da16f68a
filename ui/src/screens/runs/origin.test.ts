import { describe, expect, it } from "vitest";
import { originOf } from "./origin";

describe("what made a run", () => {
  it("is said in words", () => {
    const of = (origin: string, by = "local:ann", rerun_of: string | null = null) =>
      originOf({ origin, by, rerun_of });
    expect(of("sched:nightly:1795316400")).toBe("schedule nightly");
    expect(of("sensor:new_files:a.csv", "sensor:new_files")).toBe("sensor new_files");
    expect(of("backfill:0193:0:0")).toBe("backfill");
    expect(of("auto:daily_sales:2026:77")).toBe("automation of daily_sales");
    expect(of("rerun:0193:1")).toBe("retry by ann");
    expect(of("api:77", "ann", "0193")).toBe("retry by ann");
    expect(of("cli:77")).toBe("ann");
  });
});
