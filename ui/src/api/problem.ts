/** What the API says when it refuses: application/problem+json, the same for every route. */

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly hint: string,
  ) {
    super(detail || title);
    this.name = "Problem";
  }
}

/** The problem of an answer; also where something between here and the server answered in its own words. */
export async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    const said: unknown = JSON.parse(text);
    if (said !== null && typeof said === "object") {
      const of = (name: string) => {
        const value = (said as Record<string, unknown>)[name];
        return typeof value === "string" ? value : "";
      };
      return new Problem(response.status, of("title") || response.statusText, of("detail"), of("hint"));
    }
  } catch {
    // Not JSON: told below.
  }
  return new Problem(
    response.status,
    response.statusText || `status ${response.status}`,
    text.slice(0, 300),
    "",
  );
}

/** Any failure as a problem: the server's own, a lost connection, or a bug of the screen. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof TypeError && error.message.includes("dynamically imported"))
    return new Problem(
      0,
      "A part of this page could not be fetched",
      "",
      "The server may have been brought up to date: reload the page.",
    );
  if (error instanceof TypeError)
    return new Problem(
      0,
      "The server does not answer",
      error.message,
      "Look whether `partita up` is running; this page tries again by itself.",
    );
  return new Problem(
    0,
    "This screen has failed",
    String(error),
    "Reload the page; if it comes back, it is a bug worth telling.",
  );
}
