/**
 * Where each partition stands in a heat map: days as weeks of a year, hours as rows of a day, months and weeks as rows of a
 * year, two dimensions as a matrix, all else in rows.
 *
 * Rule: places in cells, no pixels and no colours; pure.
 */

export type Dimension = { name: string; kind: string; keys: string[] };
/** The cell of each partition by its place in the list, and what stands beside and above the cells. */
export type Layout = {
  columns: number;
  rows: number;
  x: Int32Array;
  y: Int32Array;
  left: { y: number; text: string }[];
  top: { x: number; y: number; text: string }[];
  /** How many cells the labels at the left need. */
  leftWidth: number;
};

const DAY = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WRAP = 60;
/** So many keys without an order in time stand under one another with their names. */
const FEW = 24;

/** The key of a partition by its place: the last dimension goes fastest. */
export function keyAt(dimensions: Dimension[], index: number): string {
  const parts: string[] = [];
  let rest = index;
  for (let at = dimensions.length - 1; at >= 0; at--) {
    const keys = dimensions[at]!.keys;
    parts.unshift(keys[rest % keys.length] ?? "");
    rest = Math.floor(rest / keys.length);
  }
  return parts.join("|");
}

/** The place of a partition by its key; -1 if there is none. */
export function placeOf(dimensions: Dimension[], key: string): number {
  const parts = dimensions.length > 1 ? key.split("|") : [key];
  let index = 0;
  for (const [at, dimension] of dimensions.entries()) {
    const found = dimension.keys.indexOf(parts[at] ?? "");
    if (found < 0) return -1;
    index = index * dimension.keys.length + found;
  }
  return index;
}

export function layoutOf(dimensions: Dimension[]): Layout {
  if (dimensions.length > 1) return matrix(dimensions);
  const only = dimensions[0];
  if (!only) return rows([""], 1);
  switch (only.kind) {
    case "daily":
      return days(only.keys);
    case "hourly":
      return byHead(
        only.keys,
        (key) => key.slice(0, 10),
        (key) => Number(key.slice(11, 13)),
        24,
      );
    case "monthly":
      return byHead(
        only.keys,
        (key) => key.slice(0, 4),
        (key) => Number(key.slice(5, 7)) - 1,
        12,
        MONTHS,
      );
    case "weekly":
      return byHead(
        only.keys,
        (key) => key.slice(0, 4),
        (key) => Math.floor(dayOfYear(key) / 7),
        53,
      );
    default:
      return only.keys.length <= FEW
        ? named(only.keys)
        : rows(only.keys, Math.min(WRAP, Math.max(1, only.keys.length)));
  }
}

function blank(count: number): Layout {
  return {
    columns: 1,
    rows: 1,
    x: new Int32Array(count),
    y: new Int32Array(count),
    left: [],
    top: [],
    leftWidth: 0,
  };
}

function utc(key: string): number {
  return Date.UTC(Number(key.slice(0, 4)), Number(key.slice(5, 7)) - 1, Number(key.slice(8, 10)));
}

function dayOfYear(key: string): number {
  return Math.round((utc(key) - Date.UTC(Number(key.slice(0, 4)), 0, 1)) / DAY);
}

/** Weeks go right, days of the week down, a block for each year. */
function days(keys: string[]): Layout {
  const found = blank(keys.length);
  const years = [...new Set(keys.map((key) => key.slice(0, 4)))];
  // Of one year only the weeks that there are.
  const shift = years.length === 1 && keys[0] ? weekOf(keys[0]) : 0;
  let month = "";
  for (const [at, key] of keys.entries()) {
    const block = years.indexOf(key.slice(0, 4)) * 9 + 1;
    const week = weekOf(key) - shift;
    found.x[at] = week;
    found.y[at] = block + weekday(key);
    found.columns = Math.max(found.columns, week + 1);
    if (key.slice(0, 7) !== month && (at === 0 || key.slice(8, 10) === "01")) {
      month = key.slice(0, 7);
      const last = found.top[found.top.length - 1];
      const text = MONTHS[Number(key.slice(5, 7)) - 1] ?? "";
      if (!last || last.y !== block - 1 || week - last.x > 2) found.top.push({ x: week, y: block - 1, text });
    }
  }
  found.left = years.map((year, at) => ({ y: at * 9 + 1, text: year }));
  found.leftWidth = 4;
  found.rows = years.length * 9 - 1;
  return found;
}

/** Monday is 0. */
function weekday(key: string): number {
  return (new Date(utc(key)).getUTCDay() + 6) % 7;
}

function weekOf(key: string): number {
  const first = (new Date(Date.UTC(Number(key.slice(0, 4)), 0, 1)).getUTCDay() + 6) % 7;
  return Math.floor((dayOfYear(key) + first) / 7);
}

/** A row for each head (a year, a day), with the rest going right. */
function byHead(
  keys: string[],
  head: (key: string) => string,
  place: (key: string) => number,
  columns: number,
  names: string[] = [],
): Layout {
  const found = blank(keys.length);
  let row = -1;
  let before = "";
  for (const [at, key] of keys.entries()) {
    if (row < 0 || head(key) !== before) {
      row += 1;
      before = head(key);
      found.left.push({ y: row + 1, text: before });
    }
    found.x[at] = place(key);
    found.y[at] = row + 1;
  }
  found.columns = columns;
  found.rows = row + 2;
  found.leftWidth = before.length > 4 ? 6 : 3;
  found.top =
    columns === 24
      ? [0, 6, 12, 18].map((hour) => ({ x: hour, y: 0, text: `${hour}:00` }))
      : names.map((text, x) => ({ x, y: 0, text: text.slice(0, 1) }));
  return found;
}

/** One under the other, each with its name. */
function named(keys: string[]): Layout {
  const found = blank(keys.length);
  for (const at of keys.keys()) found.y[at] = at;
  found.rows = Math.max(1, keys.length);
  found.left = keys.map((text, y) => ({ y, text }));
  found.leftWidth = Math.min(18, 1 + Math.ceil(Math.max(...keys.map((key) => key.length), 1) / 2));
  return found;
}

function rows(keys: string[], columns: number): Layout {
  const found = blank(keys.length);
  for (let at = 0; at < keys.length; at++) {
    found.x[at] = at % columns;
    found.y[at] = Math.floor(at / columns);
  }
  found.columns = columns;
  found.rows = Math.ceil(keys.length / columns) || 1;
  return found;
}

/** The longest dimension of time goes right, all others down. */
function matrix(dimensions: Dimension[]): Layout {
  const timed = dimensions.findIndex((dimension) =>
    ["hourly", "daily", "weekly", "monthly"].includes(dimension.kind),
  );
  const across = timed >= 0 ? timed : dimensions.length - 1;
  const others = dimensions.filter((_, at) => at !== across);
  const total = dimensions.reduce((product, dimension) => product * dimension.keys.length, 1);
  const found = blank(total);
  const wide = dimensions[across]!.keys;
  for (let at = 0; at < total; at++) {
    let rest = at;
    let down = 0;
    let scale = 1;
    for (let of = dimensions.length - 1; of >= 0; of--) {
      const size = dimensions[of]!.keys.length;
      const part = rest % size;
      rest = Math.floor(rest / size);
      if (of === across) found.x[at] = part;
      else {
        down += part * scale;
        scale *= size;
      }
    }
    found.y[at] = down + 1;
  }
  found.columns = wide.length;
  const height = total / Math.max(1, wide.length);
  found.rows = height + 1;
  found.left = Array.from({ length: height }, (_, at) => ({ y: at + 1, text: keyAt(others, at) }));
  found.leftWidth = Math.min(
    12,
    1 + Math.ceil(Math.max(...found.left.map((label) => label.text.length), 1) / 2),
  );
  let month = "";
  for (const [x, key] of wide.entries()) {
    if (timed >= 0 && key.slice(0, 7) !== month) {
      month = key.slice(0, 7);
      const last = found.top[found.top.length - 1];
      if (!last || x - last.x > 5) found.top.push({ x, y: 0, text: month });
    }
  }
  return found;
}

/** What is chosen: places of the list, in order. A rectangle of a matrix, else all between the two. */
export function between(dimensions: Dimension[], layout: Layout, from: number, to: number): number[] {
  if (dimensions.length < 2) {
    const [low, high] = from < to ? [from, to] : [to, from];
    return Array.from({ length: high - low + 1 }, (_, at) => low + at);
  }
  const [left, right] = [layout.x[from]!, layout.x[to]!].sort((a, b) => a - b) as [number, number];
  const [top, bottom] = [layout.y[from]!, layout.y[to]!].sort((a, b) => a - b) as [number, number];
  const found: number[] = [];
  for (let at = 0; at < layout.x.length; at++) {
    const x = layout.x[at]!;
    const y = layout.y[at]!;
    if (x >= left && x <= right && y >= top && y <= bottom) found.push(at);
  }
  return found;
}

/** Partitions as people write them: "a..b", "a,b"; of two dimensions "a..b|x,y". */
export function textOf(dimensions: Dimension[], places: number[]): string {
  if (places.length === 0 || dimensions.length === 0) return "";
  const sizes = dimensions.map((dimension) => dimension.keys.length);
  const chosen = dimensions.map(() => new Set<number>());
  for (const place of places) {
    let rest = place;
    for (let at = sizes.length - 1; at >= 0; at--) {
      chosen[at]!.add(rest % sizes[at]!);
      rest = Math.floor(rest / sizes[at]!);
    }
  }
  return chosen
    .map((set, at) =>
      runs(
        dimensions[at]!,
        [...set].sort((a, b) => a - b),
      ),
    )
    .join("|");
}

/** Neighbours become a range, if their definition has an order that ranges go by. */
function runs(dimension: Dimension, places: number[]): string {
  const found: string[] = [];
  for (let at = 0; at < places.length; ) {
    let end = at;
    while (end + 1 < places.length && places[end + 1] === places[end]! + 1) end += 1;
    const first = dimension.keys[places[at]!]!;
    const last = dimension.keys[places[end]!]!;
    if (end - at >= 2 && dimension.kind !== "dynamic") found.push(`${first}..${last}`);
    else for (let each = at; each <= end; each++) found.push(dimension.keys[places[each]!]!);
    at = end + 1;
  }
  return found.join(",");
}
