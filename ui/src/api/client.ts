/**
 * The API, typed by its OpenAPI document. Screens read with `useGet` and `usePages` and change things with `useSend`.
 *
 * Rule: a query says which events make it old (`live`); nobody polls.
 */
import {
  type InfiniteData,
  keepPreviousData,
  type QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { type Problem, problemOf } from "./problem";
import type { components, paths } from "./schema";

/** A type of the API by its name: `Schema<"Run">`. */
export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];

type Method = "get" | "post" | "put" | "delete";
export type PathsOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never;
}[keyof paths] &
  string;
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Parameters_<O, Where extends string> = O extends { parameters: infer Ps }
  ? Where extends keyof Ps
    ? NonNullable<Ps[Where]>
    : never
  : never;
type JsonOf<T> = T extends { content: { "application/json": infer J } } ? J : never;
type Answers<O> = O extends { responses: infer R } ? JsonOf<R[keyof R]> : never;
type BodyOf<O> = O extends { requestBody?: infer B } ? JsonOf<NonNullable<B>> : never;

export type Answer<P extends PathsOf<M>, M extends Method = "get"> = Answers<Operation<P, M>>;
export type Asked<P extends PathsOf<M>, M extends Method = "get"> = {
  path?: Parameters_<Operation<P, M>, "path">;
  query?: Partial<Parameters_<Operation<P, M>, "query">>;
};
/** A body with what the server has defaults for left out. */
export type Body<P extends PathsOf<M>, M extends Method> = Partial<BodyOf<Operation<P, M>>>;

export type Live = {
  /** Beginnings of event kinds that make the answer old, such as "run_" or "step_"; `true`: every event. */
  live?: readonly string[] | true;
  /** Only events of this run (its id, not its number). */
  liveRun?: string | undefined;
};
type Options = Live & {
  enabled?: boolean;
  /** Keep showing the last answer while the next one (another filter, say) is on its way. */
  keep?: boolean;
  staleTime?: number;
  /** Ask again after so many ms although no event came: only for what moves with the clock. */
  every?: number;
};

/** Ask once, outside of React. Throws `Problem`. */
export async function get<P extends PathsOf<"get">>(
  path: P,
  asked: Asked<P> = {},
  signal?: AbortSignal,
): Promise<Answer<P>> {
  return (await answered(await fetch(address(path, asked), { signal }))) as Answer<P>;
}

async function answered(response: Response): Promise<unknown> {
  if (!response.ok) throw await problemOf(response);
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** The address of a route: names are encoded whole, lists are repeated, what is undefined is left out. */
export function address(route: string, asked: { path?: object; query?: object } = {}): string {
  const names = (asked.path ?? {}) as Record<string, unknown>;
  const path = route.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(names[name] ?? "")),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked.query ?? {}))
    for (const each of Array.isArray(value) ? value : [value])
      if (each !== undefined && each !== null && each !== "") query.append(name, String(each));
  return query.size > 0 ? `${path}?${query}` : path;
}

/** The key under which an answer is kept: the path first, so that a prefix refreshes all of a noun. */
export function keyOf(path: string, asked: object = {}): readonly unknown[] {
  return [path, asked];
}

/** What the API answers, kept and refreshed by events. */
export function useGet<P extends PathsOf<"get">>(path: P, asked: Asked<P> = {}, options: Options = {}) {
  const { live, liveRun, keep, every, ...rest } = options;
  return useQuery<Answer<P>, Problem>({
    queryKey: keyOf(path, asked),
    queryFn: ({ signal }) => get(path, asked, signal),
    meta: { live, liveRun },
    ...(keep ? { placeholderData: keepPreviousData } : {}),
    ...(every ? { refetchInterval: every } : {}),
    ...rest,
  });
}

type PageOf<T> = { items: T[]; next: string | null };
type ItemOf<A> = A extends PageOf<infer T> ? T : never;

/** A list by its cursor: `items` are those of all pages so far, `more()` fetches the next one. */
export function usePages<P extends PathsOf<"get">>(path: P, asked: Asked<P> = {}, options: Options = {}) {
  const { live, liveRun, keep, every, ...rest } = options;
  type Page = PageOf<ItemOf<Answer<P>>>;
  const query = useInfiniteQuery<Page, Problem, InfiniteData<Page, string>, readonly unknown[], string>({
    queryKey: [...keyOf(path, asked), "pages"],
    queryFn: async ({ pageParam, signal }) => {
      const at = { ...asked, query: { ...asked.query, ...(pageParam ? { cursor: pageParam } : {}) } };
      return (await get(path, at as Asked<P>, signal)) as unknown as Page;
    },
    initialPageParam: "",
    getNextPageParam: (last) => last.next ?? undefined,
    meta: { live, liveRun },
    ...(keep ? { placeholderData: keepPreviousData } : {}),
    ...(every ? { refetchInterval: every } : {}),
    ...rest,
  });
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  return { ...query, items, more: () => void query.fetchNextPage(), hasMore: query.hasNextPage };
}

type HasBody<P extends PathsOf<M>, M extends Method> = [BodyOf<Operation<P, M>>] extends [never]
  ? false
  : true;
/** What a change is asked with: its names, and its body where the route takes one (`{}` if all of it has defaults). */
export type Change<P extends PathsOf<M>, M extends Method> = Asked<P, M> &
  (HasBody<P, M> extends true ? { body: Body<P, M> } : { body?: undefined });

/** Change something, outside of React. Throws `Problem`. */
export async function send<M extends "post" | "put" | "delete", P extends PathsOf<M>>(
  method: M,
  path: P,
  ...[asked]: HasBody<P, M> extends true ? [Change<P, M>] : [Change<P, M>?]
): Promise<Answer<P, M>> {
  return (await changed(method, path, asked ?? {})) as Answer<P, M>;
}

type Plain = { path?: object; query?: object; body?: unknown };

async function changed(method: string, path: string, { body, ...where }: Plain): Promise<unknown> {
  const response = await fetch(address(path, where), {
    method: method.toUpperCase(),
    headers: {
      // What was sent twice, by a lost answer say, is done once.
      ...(method === "post" && !SECRET.test(path) ? { "Idempotency-Key": key() } : {}),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return answered(response);
}

/** Answers that hold a secret are not kept by the server, so nothing is repeated there. */
const SECRET = /^\/api\/v1\/(session|tokens|callbacks)/;

/** A key of 128 random bits; `crypto.randomUUID` is there on secure pages only, and a name on the local network is none. */
function key(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

/** A change: `mutate({path, body})`; what the screen shows is fetched anew afterwards. */
export function useSend<M extends "post" | "put" | "delete", P extends PathsOf<M>>(method: M, path: P) {
  const queries = useQueryClient();
  return useMutation<Answer<P, M>, Problem, Change<P, M>>({
    mutationFn: async (asked) => (await changed(method, path, asked as Plain)) as Answer<P, M>,
    onSuccess: () => refreshAll(queries),
  });
}

/** Fetch anew all that is on the screen. */
export function refreshAll(queries: QueryClient): Promise<void> {
  return queries.invalidateQueries({ refetchType: "active" });
}
