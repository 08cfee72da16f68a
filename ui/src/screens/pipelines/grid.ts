/** The grid of a pipeline: rows of steps under their groups, what is worst in each. Rule: pure. */
import { rankOf } from "@/parts/states";

const STATES: Record<string, string> = {
  f: "failed",
  n: "needs_attention",
  u: "upstream_failed",
  r: "retrying",
  o: "running",
  c: "cancelled",
  s: "succeeded",
  k: "skipped",
  w: "waiting",
};

/** The state of a letter; "" for nothing yet. */
export function stateOf(letter: string): string {
  return STATES[letter] ?? "";
}

/** Of several letters the one that is to be seen. */
export function worstOf(letters: Iterable<string>): string {
  let worst = ".";
  for (const letter of letters) if (rank(letter) < rank(worst)) worst = letter;
  return worst;
}

function rank(letter: string): number {
  const state = stateOf(letter);
  return state ? rankOf(state) : 99;
}

export type GridStep = { step: string; group: string[]; mapped: boolean; gone: boolean };

export type Row =
  | {
      kind: "group";
      path: string;
      name: string;
      depth: number;
      open: boolean;
      steps: number;
      letters: string;
    }
  | { kind: "step"; place: number; step: GridStep; depth: number; letters: string };

export type Asked = {
  /** Words that a step's name is to have. */
  words: string;
  /** Only steps that failed in one of the runs. */
  bad: boolean;
  /** Groups that a person has turned over: those that are open at first are shut, and the other way round. */
  turned: ReadonlySet<string>;
};

const BAD = new Set(["f", "n", "u", "r"]);
/** Up to so many steps all groups are open at first. */
const FEW = 40;

/** The rows to draw; `states` has a text for each run with a letter for each step. */
export function rowsOf(steps: readonly GridStep[], states: readonly string[], asked: Asked): Row[] {
  const words = asked.words.toLowerCase().split(/\s+/).filter(Boolean);
  const line = (place: number) => states.map((run) => run[place] ?? ".").join("");
  const wanted = steps
    .map((step, place) => ({ step, place, letters: line(place) }))
    .filter(({ step, letters }) => {
      const name = step.step.toLowerCase();
      return (
        words.every((word) => name.includes(word)) && (!asked.bad || [...letters].some((l) => BAD.has(l)))
      );
    });
  const openAtFirst = steps.length <= FEW || words.length > 0 || asked.bad;
  const tops = new Map<string, typeof wanted>();
  for (const one of wanted) {
    const path = one.step.group.join("/");
    const found = tops.get(path);
    if (found) found.push(one);
    else tops.set(path, [one]);
  }
  const rows: Row[] = [];
  for (const [path, members] of tops) {
    if (path) {
      const failedLast = members.some(({ letters }) => letters.endsWith("f") || letters.endsWith("n"));
      const open = (openAtFirst || failedLast) !== asked.turned.has(path);
      const letters = states.map((_, run) => worstOf(members.map((one) => one.letters[run] ?? "."))).join("");
      rows.push({ kind: "group", path, name: path, depth: 0, open, steps: members.length, letters });
      if (!open) continue;
    }
    for (const { step, place, letters } of members)
      rows.push({ kind: "step", place, step, depth: path ? 1 : 0, letters });
  }
  return rows;
}
