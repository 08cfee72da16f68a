/** The list of runs: pages by their cursor, chosen ones to do something with. */
import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import { href, useGo } from "@/frame/address";
import { type Column, Export, Table } from "@/parts/Table";
import { Skeleton, Trouble } from "@/parts/Waiting";
import type { Run } from "./columns";
import css from "./Runs.module.css";

/** A page of the list, as it is asked for. */
export const PAGE = 100;

type Pages = {
  data: unknown;
  items: Run[];
  error: unknown;
  refetch: () => unknown;
  more: () => void;
  hasMore: boolean;
  isFetchingNextPage: boolean;
};

export function RunList({
  runs,
  columns,
  picked,
  onPick,
  empty,
  bound,
}: {
  runs: Pages;
  columns: Column<Run>[];
  picked: Set<string>;
  onPick: (picked: Set<string>) => void;
  empty: ReactNode;
  /** So many runs are looked through before a page of the search ends. */
  bound?: number | undefined;
}) {
  const go = useGo();
  if (runs.data === undefined)
    return runs.error ? (
      <Trouble error={runs.error} again={() => void runs.refetch()} />
    ) : (
      <Skeleton rows={12} />
    );
  // A page that is not full and not the last one: the search has looked through as many as it may at once.
  const stopped =
    bound !== undefined && runs.hasMore && (runs.items.length === 0 || runs.items.length % PAGE !== 0);
  return (
    <div className={css.list}>
      <Table
        name="runs"
        columns={columns}
        rows={runs.items}
        rowKey={(run) => run.id}
        onOpen={(run) => go(href(["runs", run.no]))}
        selected={picked}
        onSelect={onPick}
        more={() => !stopped && !runs.isFetchingNextPage && runs.more()}
        hasMore={runs.hasMore && !stopped}
        empty={stopped ? null : empty}
      />
      {stopped && (
        <div className={css.under} role="status">
          <span>
            {runs.items.length === 0
              ? "None found so far"
              : `${runs.items.length.toLocaleString("en")} found so far`}
            ; a search looks through {bound?.toLocaleString("en")} runs at once, and there are older ones.
          </span>
          <Button loading={runs.isFetchingNextPage} onClick={runs.more}>
            Look through older runs
          </Button>
        </div>
      )}
      {runs.items.length > 0 && (
        <div className={css.under}>
          <span>
            {runs.items.length.toLocaleString("en")}
            {runs.hasMore ? " loaded, more below" : ""}
          </span>
          <Export columns={columns} rows={runs.items} name="runs" />
        </div>
      )}
    </div>
  );
}
