/** Who is signed in, and what they may do. */
import { useGet } from "./client";

/** The session; an error of status 401 while nobody is signed in. */
export function useSession() {
  return useGet("/api/v1/session", {}, { staleTime: 60_000 });
}

/** Whether one may do something ("operate", "view", ...) in a namespace; `true` while it is not known yet. */
export function useMay(permission: string, namespace?: string): boolean {
  const { data } = useSession();
  if (!data) return true;
  const by = data.permissions as Record<string, string[]>;
  const granted = [...(by["*"] ?? []), ...(namespace ? (by[namespace] ?? []) : Object.values(by).flat())];
  return granted.includes(permission);
}
