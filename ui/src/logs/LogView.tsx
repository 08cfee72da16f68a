/**
 * The log of an attempt: live, searched, filtered by level, with tracebacks that fold and lines that can be linked to.
 *
 * What is chosen is in the address: `find`, `level`, and the line behind `#L`.
 */
import { ActionIcon, Button, Select, TextInput, Tooltip } from "@mantine/core";
import {
  IconAlertCircle,
  IconArrowDown,
  IconChevronDown,
  IconChevronUp,
  IconClock,
  IconDownload,
  IconFold,
  IconTextWrap,
} from "@tabler/icons-react";
import { useRouter, useRouterState } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { address, useGet } from "@/api/client";
import { useChosen } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Skeleton, Trouble } from "@/parts/Waiting";
import css from "./LogView.module.css";
import { Row } from "./Row";
import { type Fold, Layout, nextHit, Rows } from "./rows";
import { type Log, useLog, type Where } from "./useLog";
import { type Handle, MOST_WRAPPED, Window } from "./Window";

const LEVELS: Record<string, string[]> = {
  warnings: ["WARNING", "ERROR", "CRITICAL"],
  errors: ["ERROR", "CRITICAL"],
};
const MOST_FOUND = 2000;
const NONE: never[] = [];
const WRAP = "partita.log.wrap";

/** The log of one attempt. `failed` begins at its end, where the error stands. */
export default function LogView({ where, failed }: { where: Where; failed?: boolean }) {
  const log = useLog(where);
  if (log.isLoading) return <Skeleton rows={10} />;
  if (log.error && log.total === 0) return <Trouble error={log.error} again={log.again} />;
  return (
    <Viewer
      key={`${where.run} ${where.step} ${where.index} ${where.attempt}`}
      where={where}
      log={log}
      failed={failed ?? false}
    />
  );
}

function Viewer({ where, log, failed }: { where: Where; log: Log; failed: boolean }) {
  const [chosen, choose] = useChosen();
  const [here, pick] = useLine();
  const find = chosen.find ?? "";
  const levels = LEVELS[chosen.level ?? ""];
  const found = useFound(where, find, levels);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const [wrapped, setWrapped] = useState(() => localStorage.getItem(WRAP) === "yes");
  const [withTime, setWithTime] = useState(false);
  const [tail, setTail] = useState(() => !here && (log.live || failed));
  const window_ = useRef<Handle>(null);
  const search = useRef<HTMLInputElement>(null);

  // A filter shows what the server has found; otherwise the log stands there whole.
  const filtered = levels ? found.lines : null;
  const folds = useMemo(
    () => (find ? NONE : log.folds.filter(([first]) => !open.has(first))),
    [log.folds, open, find],
  );
  const layout = useMemo(
    () => (filtered ? new Layout(filtered.length, NONE) : new Layout(log.total, folds)),
    [filtered, log.total, folds],
  );
  const filteredRows = useMemo(() => {
    const rows = new Rows();
    rows.put((filtered ?? NONE).map((line, at) => ({ ...line, no: at + 1 })));
    return rows;
  }, [filtered]);

  const goTo = useCallback(
    (no: number) => {
      setTail(false);
      const at = filtered ? filtered.findIndex((line) => line.no >= no) : layout.of(no);
      if (at >= 0) window_.current?.show(at);
    },
    [filtered, layout],
  );
  const visit = useCallback(
    (no: number | undefined) => {
      if (no === undefined) return;
      pick(no);
      goTo(no);
    },
    [pick, goTo],
  );
  const jump = (by: 1 | -1) => {
    const from = here ?? (filtered ? 0 : layout.at(window_.current?.first() ?? 0).no);
    visit(nextHit(found.numbers, from, by));
  };
  // The line of the address is shown once it is there, and when the address changes.
  const shown = useRef<number | null>(null);
  useEffect(() => {
    if (here && shown.current !== here && log.total >= here) {
      shown.current = here;
      goTo(here);
    }
  }, [here, log.total, goTo]);

  const canWrap = layout.count <= MOST_WRAPPED;
  useShortcut("/", () => search.current?.focus(), "search the log");
  useShortcut("n", () => jump(1), "next hit in the log", find !== "");
  useShortcut("shift+n", () => jump(-1), "hit before in the log", find !== "");
  useShortcut(
    "e",
    () => visit(log.firstError ?? undefined),
    "first error of the log",
    log.firstError !== null,
  );

  const seen = useCallback(
    (first: number, last: number) => {
      if (!filtered && last >= first) log.want(layout.at(first).no, layout.at(last).no);
    },
    [filtered, log.want, layout],
  );
  const unfold = useCallback((fold: Fold) => setOpen((before) => new Set([...before, fold[0]])), []);
  const digits = String(log.total || 1).length;
  const rowAt = (place: number) => {
    const { no: at, fold } = layout.at(place);
    const line = filtered ? filteredRows.get(at) : log.rows.get(at);
    const no = filtered ? (filtered[at - 1]?.no ?? at) : at;
    return (
      <Row
        key={no}
        no={no}
        line={line}
        fold={fold}
        wanted={find}
        isHere={no === here}
        withTime={withTime}
        onPick={pick}
        onFold={unfold}
      />
    );
  };

  return (
    <div className={css.log}>
      <div className={css.bar} role="toolbar" aria-label="log">
        <Search ref_={search} value={find} onChange={(next) => choose({ find: next })} onJump={jump} />
        {find && <Hits found={found} here={here} onJump={jump} />}
        <Select
          aria-label="level"
          data={[
            { value: "all", label: "all levels" },
            { value: "warnings", label: `warnings and errors${countOf(log.levels, LEVELS.warnings)}` },
            { value: "errors", label: `errors${countOf(log.levels, LEVELS.errors)}` },
          ]}
          value={levels ? (chosen.level ?? "all") : "all"}
          onChange={(next) => choose({ level: next === "all" || !next ? undefined : next })}
          allowDeselect={false}
          w={150}
        />
        {log.live && (
          <span className={css.live} role="status">
            <span className={css.dot} aria-hidden /> live
          </span>
        )}
        <div className={css.buttons}>
          {log.firstError !== null && (
            <Tool name="first error (e)" onClick={() => visit(log.firstError ?? undefined)}>
              <IconAlertCircle size={15} />
            </Tool>
          )}
          {log.folds.length > 0 && !filtered && !find && (
            <Tool
              name={folds.length > 0 ? "unfold tracebacks" : "fold tracebacks"}
              on={folds.length === 0}
              onClick={() =>
                setOpen(folds.length > 0 ? new Set(log.folds.map(([first]) => first)) : new Set())
              }
            >
              <IconFold size={15} />
            </Tool>
          )}
          <Tool name="when each line was written" on={withTime} onClick={() => setWithTime(!withTime)}>
            <IconClock size={15} />
          </Tool>
          <Tool
            name={canWrap ? "wrap long lines" : "this log is too long to be wrapped"}
            on={wrapped && canWrap}
            disabled={!canWrap}
            onClick={() => {
              localStorage.setItem(WRAP, wrapped ? "" : "yes");
              setWrapped(!wrapped);
            }}
          >
            <IconTextWrap size={15} />
          </Tool>
          <Tooltip label="download the whole log">
            <ActionIcon
              component="a"
              aria-label="download the whole log"
              download={`${where.step}${where.index ? `-${where.index}` : ""}-${where.attempt}.log`.replace(
                /[^\w.-]+/g,
                "_",
              )}
              href={address("/api/v1/runs/{run}/steps/{step}/log/whole", {
                path: { run: where.run, step: where.step },
                query: { index: where.index, attempt: where.attempt },
              })}
            >
              <IconDownload size={15} />
            </ActionIcon>
          </Tooltip>
        </div>
      </div>
      {filtered && found.count > found.lines.length && (
        <span
          className={css.hits}
        >{`the first ${found.lines.length.toLocaleString("en")} of ${found.count.toLocaleString("en")} lines`}</span>
      )}
      {found.error !== null && <Trouble error={found.error} />}
      {log.error !== null && <Trouble error={log.error} again={log.again} />}
      <div className={css.box}>
        {layout.count === 0 ? (
          <p className={css.empty}>{emptyWords(log, filtered !== null)}</p>
        ) : (
          <Window
            ref={window_}
            count={layout.count}
            label="log"
            digits={digits}
            wrap={wrapped && canWrap}
            tail={tail && !filtered}
            row={rowAt}
            onSeen={seen}
            onTail={(atEnd) => setTail(atEnd && log.live)}
          />
        )}
        {log.live && !tail && !filtered && (
          <Button
            className={css.follow}
            leftSection={<IconArrowDown size={13} />}
            onClick={() => setTail(true)}
          >
            Follow
          </Button>
        )}
      </div>
    </div>
  );
}

function emptyWords(log: Log, isFiltered: boolean): string {
  if (isFiltered)
    return "No line is of this level. Levels are those of Python's logging, as the line begins.";
  return log.live
    ? "Nothing is written yet."
    : "Nothing was written. What a step prints or logs stands here.";
}

function countOf(levels: Record<string, number>, of: string[] | undefined): string {
  const count = (of ?? []).reduce((sum, level) => sum + (levels[level] ?? 0), 0);
  return count > 0 ? ` (${count.toLocaleString("en")})` : "";
}

function Tool({
  name,
  on,
  disabled,
  onClick,
  children,
}: {
  name: string;
  on?: boolean;
  disabled?: boolean;
  onClick: () => void;
  children: React.ReactNode;
}) {
  return (
    <Tooltip label={name}>
      <ActionIcon
        aria-label={name}
        {...(on === undefined ? {} : { "aria-pressed": on })}
        className={on ? css.on : undefined}
        onClick={onClick}
        disabled={disabled ?? false}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}

function Search({
  ref_,
  value,
  onChange,
  onJump,
}: {
  ref_: React.RefObject<HTMLInputElement | null>;
  value: string;
  onChange: (value: string | undefined) => void;
  onJump: (by: 1 | -1) => void;
}) {
  const [text, setText] = useState(value);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => latest.current(text || undefined), 200);
    return () => clearTimeout(timer);
  }, [text, value]);
  return (
    <TextInput
      ref={ref_}
      className={css.search}
      aria-label="search the log"
      placeholder="Search the log   /"
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") {
          event.preventDefault();
          if (text === value) onJump(event.shiftKey ? -1 : 1);
          else onChange(text || undefined);
        }
        if (event.key === "Escape") {
          event.stopPropagation();
          onChange(undefined);
          ref_.current?.blur();
        }
      }}
    />
  );
}

type Found = ReturnType<typeof useFound>;

/** The lines that are looked for, at most so many of them. */
function useFound(where: Where, find: string, levels: string[] | undefined) {
  const query = useGet(
    "/api/v1/runs/{run}/steps/{step}/log/find",
    {
      path: { run: where.run, step: where.step },
      query: {
        index: where.index,
        attempt: where.attempt,
        text: find,
        level: (levels ?? []) as "ERROR"[],
        limit: MOST_FOUND,
      },
    },
    { enabled: find !== "" || levels !== undefined, keep: true },
  );
  const lines = query.data?.lines ?? NONE;
  const numbers = useMemo(() => lines.map((line) => line.no), [lines]);
  return { lines, numbers, count: query.data?.count ?? 0, isPending: query.isPending, error: query.error };
}

function Hits({ found, here, onJump }: { found: Found; here: number | null; onJump: (by: 1 | -1) => void }) {
  const at = here === null ? -1 : found.numbers.indexOf(here);
  const words =
    found.count === 0
      ? found.isPending
        ? "searching"
        : "no line has it"
      : at >= 0
        ? `${(at + 1).toLocaleString("en")} of ${found.count.toLocaleString("en")}`
        : `${found.count.toLocaleString("en")} ${found.count === 1 ? "line" : "lines"}`;
  return (
    <>
      <span className={css.hits} role="status">
        {words}
      </span>
      <ActionIcon aria-label="hit before" onClick={() => onJump(-1)} disabled={found.count === 0}>
        <IconChevronUp size={15} />
      </ActionIcon>
      <ActionIcon aria-label="next hit" onClick={() => onJump(1)} disabled={found.count === 0}>
        <IconChevronDown size={15} />
      </ActionIcon>
    </>
  );
}

/** The line of the address (`#L120`), and how it is chosen. */
function useLine(): [number | null, (no: number) => void] {
  const router = useRouter();
  const hash = useRouterState({ select: (state) => state.location.hash });
  const match = /^#?L(\d{1,12})$/.exec(hash);
  const pick = useCallback(
    (no: number) => {
      const { pathname, searchStr } = router.latestLocation;
      router.history.replace(`${pathname}${searchStr}#L${no}`);
    },
    [router],
  );
  return [match ? Number(match[1]) : null, pick];
}
