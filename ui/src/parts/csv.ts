/** Rows as CSV (RFC 4180). Rule: nothing out of data becomes a formula of a spreadsheet. */

export function csvOf(rows: (string | number)[][]): string {
  return rows.map((row) => row.map(field).join(",")).join("\r\n");
}

function field(value: string | number): string {
  if (typeof value === "number") return String(value);
  // A leading apostrophe makes a spreadsheet take the rest as text (OWASP, "CSV Injection").
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
