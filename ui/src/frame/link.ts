/** The link with which `partita up` lets its user in: `/#link=...`, good for once. */
import { send } from "@/api/client";
import { asProblem } from "@/api/problem";

/** Sign in by the link of the address, if there is one, and take it out of the address. Says what went wrong, or "". */
export async function redeemLink(): Promise<string> {
  const link = new URLSearchParams(location.hash.slice(1)).get("link");
  if (!link) return "";
  history.replaceState(history.state, "", location.pathname + location.search);
  try {
    await send("post", "/api/v1/session", { body: { link } });
    return "";
  } catch (error) {
    const problem = asProblem(error);
    return `${problem.message}${problem.hint ? `: ${problem.hint}` : ""}`;
  }
}

/** Where to go afterwards: a path of ours and nothing else. */
export function destination(to: string | undefined): string {
  return to && /^\/(?![/\\])/.test(to) && !to.startsWith("/signin") ? to : "/";
}
