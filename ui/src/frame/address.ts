/**
 * Addresses of the screens, and the state that lives in them.
 *
 * Rule: names are data, so they are encoded here and nowhere else; what is chosen on a screen is in its address.
 */
import { useRouter, useRouterState } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";

export type Chosen = Record<string, string | undefined>;

/** `href(["runs", 12], {step: "a/b"})` is "/runs/12?step=a%2Fb". */
export function href(parts: (string | number)[], chosen: Chosen = {}, line = ""): string {
  const path = `/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
  const query = queryOf(chosen);
  return `${path}${query && `?${query}`}${line && `#${line}`}`;
}

function queryOf(chosen: Chosen): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(chosen))
    if (value !== undefined && value !== "") query.set(name, value);
  return query.toString();
}

/** The address as plain text, for the router: every value is a string. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const query = queryOf(search as Chosen);
  return query && `?${query}`;
}

/** What is chosen in the address, and how it is changed; changes replace the entry of the history unless `push`. */
export function useChosen(): [Chosen, (change: Chosen, options?: { push?: boolean }) => void] {
  const router = useRouter();
  const search = useRouterState({ select: (state) => state.location.searchStr });
  const chosen = useMemo<Chosen>(() => parseSearch(search), [search]);
  const choose = useCallback(
    (change: Chosen, options: { push?: boolean } = {}) => {
      // The history's own address: the router's comes a moment later, and two changes may come in one moment.
      const { pathname, search: now, hash } = router.history.location;
      const query = queryOf({ ...parseSearch(now), ...change });
      const next = `${pathname}${query && `?${query}`}${hash}`;
      if (options.push) router.history.push(next);
      else router.history.replace(next);
    },
    [router],
  );
  return [chosen, choose];
}

/** Go to an address made by `href`. */
export function useGo(): (address: string) => void {
  const router = useRouter();
  return useCallback((address: string) => router.history.push(address), [router]);
}
