/** Addresses out of data. Rule: what is not plainly an address of the web or a path of ours is text, not a link. */

/** The address if it may be linked to; undefined otherwise. */
export function safeHref(address: unknown): string | undefined {
  if (typeof address !== "string" || address.length > 4000) return undefined;
  if (/^\/(?![/\\])/.test(address)) return /[\u0000-\u001f]/.test(address) ? undefined : address;
  try {
    const url = new URL(address);
    return ["https:", "http:", "mailto:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}
