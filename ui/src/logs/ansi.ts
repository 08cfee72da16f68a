/** Terminal colours as plain pieces. Rule: only colour, bold, faint, italic and underline are understood; other escapes vanish. */

export type Colour = "black" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan" | "white";
export type Style = { fg?: Colour; bg?: Colour; bold?: true; faint?: true; italic?: true; underline?: true };
export type Piece = { text: string; style: Style };

const COLOURS: Colour[] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
// CSI sequences, OSC sequences (titles, links) with their end, other two-character escapes, and lone control characters.
const ESCAPE =
  /\u001b\[([0-9;:?]*)([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[@-Z\\-_]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** A line cut where its look changes. */
export function pieces(line: string): Piece[] {
  if (!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(line)) return line ? [{ text: line, style: {} }] : [];
  const found: Piece[] = [];
  let style: Style = {};
  let at = 0;
  const put = (text: string) => {
    if (text) found.push({ text, style });
  };
  for (const match of line.matchAll(ESCAPE)) {
    put(line.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m") style = styled(style, match[1] ?? "");
  }
  put(line.slice(at));
  return found;
}

/** The line without any escapes, as it is searched and copied. */
export function bare(line: string): string {
  return pieces(line)
    .map((piece) => piece.text)
    .join("");
}

function styled(before: Style, codes: string): Style {
  const numbers = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  let style = { ...before };
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at]!;
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.faint = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) {
      const { bold: _b, faint: _f, ...rest } = style;
      style = rest;
    } else if (code === 23) style = without(style, "italic");
    else if (code === 24) style = without(style, "underline");
    else if (code === 39) style = without(style, "fg");
    else if (code === 49) style = without(style, "bg");
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(numbers.slice(at + 1));
      at += used;
      if (colour) style[code === 38 ? "fg" : "bg"] = colour;
    } else if (code >= 30 && code <= 37) style.fg = COLOURS[code - 30]!;
    else if (code >= 40 && code <= 47) style.bg = COLOURS[code - 40]!;
    else if (code >= 90 && code <= 97) style.fg = COLOURS[code - 90]!;
    else if (code >= 100 && code <= 107) style.bg = COLOURS[code - 100]!;
  }
  return style;
}

function without(style: Style, name: keyof Style): Style {
  const { [name]: _, ...rest } = style;
  return rest;
}

/** A colour of 256, or of red, green and blue, as the nearest of the eight, and how many numbers said so. */
function extended(numbers: number[]): [Colour | undefined, number] {
  if (numbers[0] === 5) return [of256(numbers[1] ?? 0), 2];
  if (numbers[0] === 2) return [nearest(numbers[1] ?? 0, numbers[2] ?? 0, numbers[3] ?? 0), 4];
  return [undefined, 0];
}

function of256(code: number): Colour | undefined {
  if (code < 16) return COLOURS[code % 8];
  if (code >= 232) return code < 244 ? "black" : "white";
  const cube = code - 16;
  const level = (value: number) => (value === 0 ? 0 : 55 + 40 * value);
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function nearest(red: number, green: number, blue: number): Colour {
  const top = Math.max(red, green, blue);
  const bit = (value: number) => (top > 64 && value > top / 2 ? 1 : 0);
  return COLOURS[bit(red) + 2 * bit(green) + 4 * bit(blue)]!;
}
