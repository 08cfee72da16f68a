/** All runs over hours: how many of them, further back and nearer, closer by a drag. */
import { Button, SegmentedControl } from "@mantine/core";
import { IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import { useEffect, useMemo, useState } from "react";
import { useGet } from "@/api/client";
import { type Chosen, useChosen } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { exact, useZone } from "@/parts/time";
import { Empty, Loaded } from "@/parts/Waiting";
import type { Window } from "./axis";
import { FloorPicture } from "./Floor";
import css from "./Runs.module.css";

const HOUR = 3_600_000;
const HOURS = ["1", "3", "12", "24", "72", "168"];
const NAMES: Record<string, string> = { "72": "3 d", "168": "7 d" };

/** The window of the address: one that stands still, or the last hours and a little more for what comes. */
export function windowOf(chosen: Chosen, now: number): Window & { follows: boolean } {
  const from = Date.parse(chosen.from ?? "");
  const to = Date.parse(chosen.to ?? "");
  if (to > from) return { from, to, follows: false };
  const hours = HOURS.includes(chosen.hours ?? "") ? Number(chosen.hours) : 12;
  const grain = (hours * HOUR) / 60;
  const end = Math.ceil(now / grain) * grain + grain;
  return { from: end - hours * HOUR, to: end, follows: true };
}

export function FloorView() {
  const [chosen, choose] = useChosen();
  const [zone] = useZone();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 15_000);
    return () => clearInterval(timer);
  }, []);
  const { from, to, follows } = windowOf(chosen, now);
  const shown = useMemo(() => ({ from, to }), [from, to]);
  const floor = useGet(
    "/api/v1/floor",
    {
      query: {
        since: new Date(from).toISOString(),
        until: new Date(to).toISOString(),
        pipeline: chosen.pipeline ? [chosen.pipeline] : undefined,
      },
    },
    { live: ["run_"], keep: true },
  );
  const look = (window: Window) =>
    choose(
      { from: new Date(window.from).toISOString(), to: new Date(window.to).toISOString() },
      { push: true },
    );
  const pan = (by: number) => look({ from: from + by * (to - from), to: to + by * (to - from) });
  const toNow = () => choose({ from: undefined, to: undefined });
  useShortcut("arrowleft", () => pan(-0.5), "earlier");
  useShortcut("arrowright", () => pan(0.5), "later", !follows);
  useShortcut("0", toNow, "to now", !follows);
  return (
    <>
      <div className={css.window}>
        <SegmentedControl
          aria-label="Hours"
          data={HOURS.map((hours) => ({ value: hours, label: NAMES[hours] ?? `${hours} h` }))}
          value={follows ? String((to - from) / HOUR) : ""}
          onChange={(hours) => choose({ hours, from: undefined, to: undefined })}
        />
        <Button onClick={() => pan(-0.5)} aria-label="Earlier">
          <IconChevronLeft size={15} />
        </Button>
        <Button onClick={() => pan(0.5)} aria-label="Later" disabled={follows}>
          <IconChevronRight size={15} />
        </Button>
        {follows ? (
          <span className="dim">follows the clock; drag to look closer</span>
        ) : (
          <>
            <Button onClick={() => look({ from: from - (to - from) / 2, to: to + (to - from) / 2 })}>
              Wider
            </Button>
            <Button onClick={toNow}>To now</Button>
            <span className="dim">
              {exact(new Date(from).toISOString(), zone).slice(5, 16)} to{" "}
              {exact(new Date(to).toISOString(), zone).slice(5, 16)}
            </span>
          </>
        )}
      </div>
      <Loaded query={floor} rows={10}>
        {(found) =>
          found.lanes.length > 0 ? (
            <FloorPicture floor={found} window={shown} onZoom={look} />
          ) : (
            <Empty title="No run in this window">Choose more hours, or go back in time.</Empty>
          )
        }
      </Loaded>
    </>
  );
}
