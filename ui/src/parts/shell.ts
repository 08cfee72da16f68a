/** Words of a command line, as a shell takes them. */

/** `quoted("a b")` is `'a b'`; a plain word stays as it is. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
