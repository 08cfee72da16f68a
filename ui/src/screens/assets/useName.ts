/** A name out of the path of the screen, as it is (the router has decoded it). */
import { useParams } from "@tanstack/react-router";

export function useName(of: string): string {
  const found = useParams({ strict: false }) as Record<string, string | undefined>;
  return found[of] ?? "";
}
