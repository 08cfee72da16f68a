/**
 * The lines of one log as far as they are here, and which of them stand at which place of the screen.
 *
 * Rule: plain memory; what is asked for and not here is fetched by whoever shows it. Lines are numbered from 1.
 */

export type Line = { no: number; at: string; level: string; text: string };
export type Fold = readonly [first: number, last: number];

export const BLOCK = 400;
const MOST_BLOCKS = 250;

/** Lines in blocks of 400; those that were not looked at for longest go when there are 100,000. */
export class Rows {
  private readonly blocks = new Map<number, (Line | undefined)[]>();

  get(no: number): Line | undefined {
    return this.blocks.get(blockOf(no))?.[(no - 1) % BLOCK];
  }

  put(lines: readonly Line[]): void {
    for (const line of lines) {
      const at = blockOf(line.no);
      let block = this.blocks.get(at);
      if (!block) {
        block = [];
        this.blocks.set(at, block);
        this.shrink();
      }
      block[(line.no - 1) % BLOCK] = line;
    }
  }

  /** The blocks of these lines that are not here as a whole, and are now looked at. */
  missing(first: number, last: number, total: number): number[] {
    const found: number[] = [];
    for (let at = blockOf(first); at <= blockOf(last); at += 1) {
      const block = this.blocks.get(at);
      const size = Math.min(BLOCK, total - at * BLOCK);
      let here = 0;
      if (block) {
        // Looked at: it is the last to go.
        this.blocks.delete(at);
        this.blocks.set(at, block);
        for (let n = 0; n < size; n += 1) if (block[n]) here += 1;
      }
      if (size > 0 && here < size) found.push(at);
    }
    return found;
  }

  private shrink(): void {
    for (const at of this.blocks.keys()) {
      if (this.blocks.size <= MOST_BLOCKS) return;
      this.blocks.delete(at);
    }
  }
}

export function blockOf(no: number): number {
  return Math.floor((no - 1) / BLOCK);
}

/** A place on the screen: a line, or the one line that stands for folded ones. */
export type Place = { no: number; fold?: Fold };

/** Which line stands where, with some tracebacks folded. */
export class Layout {
  readonly count: number;
  private readonly folds: readonly Fold[];
  /** How many lines the folds before the nth hide. */
  private readonly hidden: number[] = [0];

  constructor(
    readonly total: number,
    folds: readonly Fold[],
  ) {
    this.folds = folds.filter(([first, last]) => last > first && last <= total);
    for (const [first, last] of this.folds) this.hidden.push(this.hidden.at(-1)! + (last - first));
    this.count = total - this.hidden.at(-1)!;
  }

  /** What stands at a place, from 0. */
  at(place: number): Place {
    const n = this.before((at) => this.folds[at]![0] - 1 - this.hidden[at]! <= place);
    if (n > 0) {
      const fold = this.folds[n - 1]!;
      if (fold[0] - 1 - this.hidden[n - 1]! === place) return { no: fold[0], fold };
    }
    return { no: place + 1 + this.hidden[n]! };
  }

  /** The place of a line; of a folded one that of its fold. */
  of(no: number): number {
    const n = this.before((at) => this.folds[at]![0] <= no);
    if (n > 0 && no <= this.folds[n - 1]![1]) return this.folds[n - 1]![0] - 1 - this.hidden[n - 1]!;
    return no - 1 - this.hidden[n]!;
  }

  /** How many folds, from the first on, fulfil what the first ones do. */
  private before(holds: (at: number) => boolean): number {
    let low = 0;
    let high = this.folds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(middle)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The hit to go to from a line: the next one behind it (or before it), round at the ends. */
export function nextHit(hits: readonly number[], from: number, by: 1 | -1): number | undefined {
  if (hits.length === 0) return undefined;
  if (by > 0) return hits.find((no) => no > from) ?? hits[0];
  return hits.findLast((no) => no < from) ?? hits.at(-1);
}

/** A text cut at what is looked for, in any case: every second piece is a hit. */
export function cutAt(text: string, wanted: string): string[] {
  if (!wanted) return [text];
  const low = text.toLowerCase();
  const needle = wanted.toLowerCase();
  // Letters that change their length with their case cannot be found by place.
  if (low.length !== text.length) return [text];
  const found: string[] = [];
  let at = 0;
  for (let hit = low.indexOf(needle); hit >= 0; hit = low.indexOf(needle, at)) {
    found.push(text.slice(at, hit), text.slice(hit, hit + needle.length));
    at = hit + needle.length;
  }
  found.push(text.slice(at));
  return found;
}
