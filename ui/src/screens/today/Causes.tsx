/** What broke: one row for each first cause, with what it holds up and what can be done about it. */
import { Button, Menu } from "@mantine/core";
import { IconChevronDown } from "@tabler/icons-react";
import { useState } from "react";
import { type Schema, useSend } from "@/api/client";
import { href, useGo } from "@/frame/address";
import { useShortcut } from "@/frame/shortcuts";
import { Glyph, State } from "@/parts/State";
import { To } from "@/parts/To";
import { Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Today.module.css";

type Cause = Schema<"TodayCause">;

const SHOWN = 12;

const keyOf = (cause: Cause) => `${cause.project}/${cause.pipeline}/${cause.step}/${cause.error}`;

/** Where the log of what broke is, and where its reasons are. */
const logOf = (cause: Cause) =>
  cause.step
    ? href(["runs", cause.no, "steps", cause.step], { index: cause.index, tab: "log" })
    : href(["runs", cause.no]);
const checkOf = (cause: Cause) => href(["assets", cause.asset], { tab: "checks" });
const whyOf = (cause: Cause) => href(["runs", cause.no], { step: cause.step, index: cause.index });

export function Causes({ causes, before }: { causes: Cause[]; before: number | null }) {
  const [all, showAll] = useState(false);
  // Whoever uses the keyboard sees which one the keys are for; they begin with the first.
  const [active, setActive] = useState(-1);
  const go = useGo();
  const open = causes.filter((cause) => cause.left.length > 0);
  const mended = causes.filter((cause) => cause.left.length === 0);
  const shown = all ? open : open.slice(0, SHOWN);
  const at = shown[Math.max(0, Math.min(active, shown.length - 1))];
  const move = (by: number) => {
    const next = Math.max(0, Math.min(shown.length - 1, active + by));
    setActive(next);
    document.getElementById(`cause-${next}`)?.scrollIntoView({ block: "nearest" });
  };
  useShortcut("j", () => move(1), "next cause", shown.length > 1);
  useShortcut("k", () => move(-1), "previous cause", shown.length > 1);
  useShortcut("l", () => at && go(logOf(at)), "log of the cause", shown.length > 0);
  useShortcut("w", () => at && go(whyOf(at)), "why the cause broke", shown.length > 0);
  useShortcut("enter", () => at && go(whyOf(at)), "open the cause", shown.length > 0);
  return (
    <>
      {shown.length > 0 && (
        <ol className={css.causes} aria-label="what broke">
          {shown.map((cause, number) => (
            <CauseRow
              key={keyOf(cause)}
              id={`cause-${number}`}
              cause={cause}
              isActive={number === active}
              isNew={before !== null && Date.parse(cause.first_at ?? "") > before}
              takesKeys={cause === at}
            />
          ))}
        </ol>
      )}
      {open.length > shown.length && (
        <div>
          <Button onClick={() => showAll(true)}>{open.length - shown.length} more causes</Button>
        </div>
      )}
      {mended.length > 0 && <Mended causes={mended} />}
    </>
  );
}

function CauseRow({
  id,
  cause,
  isActive,
  isNew,
  takesKeys,
}: {
  id: string;
  cause: Cause;
  isActive: boolean;
  isNew: boolean;
  takesKeys: boolean;
}) {
  const name = cause.instances > 1 ? `${cause.step} (${cause.instances} instances)` : nameOf(cause);
  return (
    <li id={id} className={`${css.cause} ${isActive ? css.active : ""}`} data-testid="cause">
      <span className={css.mark}>
        <Glyph state="failed" size={16} label />
      </span>
      <div className={css.what}>
        <span className={css.where}>
          <To to={href(["pipelines", cause.pipeline])} className={css.pipeline}>
            {cause.pipeline}
          </To>
          <span aria-hidden className={css.dot}>
            ·
          </span>
          <To to={whyOf(cause)} className={css.step}>
            {name}
          </To>
          {isNew && <span className={css.new}>new</span>}
        </span>
        {cause.check ? (
          // Which rows, and how it ended before, is told where the checks of the asset are.
          <To to={checkOf(cause)} className={css.error} title={`the check ${cause.check} of ${cause.asset}`}>
            {cause.error || "it failed"}
          </To>
        ) : (
          <code className={css.error}>{cause.error || cause.cause || "it failed"}</code>
        )}
      </div>
      <span className={css.owner} title={cause.owner ? `owned by ${cause.owner}` : undefined}>
        {cause.owner}
      </span>
      <Facts cause={cause} />
      <Doing cause={cause} takesKeys={takesKeys} />
      <History cause={cause} />
    </li>
  );
}

function nameOf(cause: Cause): string {
  if (!cause.step) return "the whole run";
  return cause.index ? `${cause.step}[${cause.index}]` : cause.step;
}

function Facts({ cause }: { cause: Cause }) {
  const blocked = cause.blocked.map((c) => `${c.count} ${c.noun}${c.count === 1 ? "" : "s"}`).join(", ");
  return (
    <span className={css.facts}>
      <span>
        first seen <When at={cause.first_at} as="clock" seconds />, <When at={cause.first_at} />
      </span>
      {cause.attempts > 0 && (
        <span>
          {cause.attempts} attempt{cause.attempts === 1 ? "" : "s"}
        </span>
      )}
      <span>
        {cause.runs.length > 1 ? (
          <>
            {cause.runs.length} runs, last <To to={href(["runs", cause.no])}>#{cause.no}</To>
          </>
        ) : (
          <To to={href(["runs", cause.no])}>run #{cause.no}</To>
        )}
        {cause.partition && <span className="mono"> {cause.partition}</span>}
        {cause.is_open && " (still at work)"}
      </span>
      {cause.blocks > 0 && <span className={css.blocks}>blocks {blocked}</span>}
      {cause.missed.length > 0 && <Missed cause={cause} />}
    </span>
  );
}

/** What people will miss, and until when it was promised. */
function Missed({ cause }: { cause: Cause }) {
  const due = cause.missed
    .map((missed) => missed.due_at)
    .filter((at): at is string => at !== null)
    .sort()[0];
  return (
    <span className={css.missed}>
      {cause.missed.slice(0, 3).map((missed, number) => (
        <span key={missed.asset}>
          {number > 0 && ", "}
          <To to={href(["assets", missed.asset])}>{missed.asset}</To>
        </span>
      ))}
      {cause.missed.length > 3 && ` and ${cause.missed.length - 3} more`}
      {due && (
        <span className={css.due}>
          {" "}
          due <When at={due} as="clock" />
        </span>
      )}
    </span>
  );
}

function Doing({ cause, takesKeys }: { cause: Cause; takesKeys: boolean }) {
  const retry = useSend("post", "/api/v1/runs/bulk");
  const [refused, refuse] = useState("");
  const [started, setStarted] = useState<string[]>([]);
  const again = (version: "same" | "latest") => {
    refuse("");
    retry.mutate(
      { body: { action: "retry", runs: cause.left.map(String), version } },
      {
        onSuccess: ({ items }) => {
          setStarted(items.flatMap((item) => (item.made ? [item.made] : [])));
          refuse(items.find((item) => !item.made)?.detail ?? "");
        },
      },
    );
  };
  const many = cause.left.length > 1 ? ` ${cause.left.length} runs` : "";
  const busy = cause.is_open || cause.trying_in !== null;
  useShortcut("r", () => again("latest"), "retry the cause", takesKeys && !busy);
  return (
    <span className={css.doing}>
      <Button component="a" {...linked(whyOf(cause))}>
        Why
      </Button>
      <Button component="a" {...linked(logOf(cause))}>
        Log
      </Button>
      <Button.Group>
        <Button
          variant="light"
          onClick={() => again("latest")}
          disabled={busy || retry.isPending}
          title="what failed and what stands behind it, with the latest code (r)"
        >
          Retry{many} from failure
        </Button>
        <Menu position="bottom-end" width={240}>
          <Menu.Target>
            <Button variant="light" aria-label="more ways to retry" disabled={busy || retry.isPending}>
              <IconChevronDown size={14} />
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Label>From failure</Menu.Label>
            <Menu.Item onClick={() => again("latest")}>with the latest code</Menu.Item>
            <Menu.Item onClick={() => again("same")}>with the same code</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </Button.Group>
      {cause.trying_in !== null ? (
        <To to={href(["runs", cause.trying_in])} className={css.trying}>
          <State state="retrying" more={`in #${cause.trying_in}`} />
        </To>
      ) : (
        started.length > 0 &&
        started[0] && (
          <To to={href(["runs", started[0]])} className={css.trying}>
            <State state="retrying" more="see the new run" />
          </To>
        )
      )}
      {(refused || retry.error) && <Trouble error={retry.error ?? new Error(refused)} />}
    </span>
  );
}

/** A button that is a link of ours. */
function linked(to: string) {
  return {
    renderRoot: ({ href: _, ...props }: Record<string, unknown>) => <To to={to} {...props} />,
  };
}

/** How the step ended in the last runs, with this failure at the end. */
function History({ cause }: { cause: Cause }) {
  const ends = [...cause.history, "failed"];
  const said = `${ordinal(cause.nth)} failure in ${ends.length} run${ends.length === 1 ? "" : "s"}`;
  return (
    <span className={css.history} title={said}>
      <span className={css.ends} aria-hidden>
        {ends.map((end, at) => (
          <span key={`${at}`} className={`${css.end} ${css[`end_${end || "none"}`] ?? css.end_none}`} />
        ))}
      </span>
      <span className={css.nth}>
        {ordinal(cause.nth)} in {ends.length}
      </span>
    </span>
  );
}

export function ordinal(n: number): string {
  const last = n % 10;
  if (last === 1 && n % 100 !== 11) return `${n}st`;
  if (last === 2 && n % 100 !== 12) return `${n}nd`;
  return last === 3 && n % 100 !== 13 ? `${n}rd` : `${n}th`;
}

function Mended({ causes }: { causes: Cause[] }) {
  return (
    <details className={css.mended}>
      <summary>
        {causes.length} broke and {causes.length === 1 ? "was" : "were"} mended since
      </summary>
      <ul>
        {causes.map((cause) => (
          <li key={keyOf(cause)}>
            <Glyph state="succeeded" label />{" "}
            <To to={whyOf(cause)}>{`${cause.pipeline} · ${nameOf(cause)}`}</To> <code>{cause.error}</code>{" "}
            {cause.mended_in !== null && (
              <span className="dim">
                mended in <To to={href(["runs", cause.mended_in])}>#{cause.mended_in}</To>
              </span>
            )}
          </li>
        ))}
      </ul>
    </details>
  );
}
