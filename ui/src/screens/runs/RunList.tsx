/** The list of runs: pages by their cursor, chosen ones to do something with. */
import type { ReactNode } from "react";
import { href, useGo } from "@/frame/address";
import { type Column, Export, Table } from "@/parts/Table";
import { Skeleton, Trouble } from "@/parts/Waiting";
import type { Run } from "./columns";
import css from "./Runs.module.css";

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
}: {
  runs: Pages;
  columns: Column<Run>[];
  picked: Set<string>;
  onPick: (picked: Set<string>) => void;
  empty: ReactNode;
}) {
  const go = useGo();
  if (runs.data === undefined)
    return runs.error ? (
      <Trouble error={runs.error} again={() => void runs.refetch()} />
    ) : (
      <Skeleton rows={12} />
    );
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
        more={() => !runs.isFetchingNextPage && runs.more()}
        hasMore={runs.hasMore}
        empty={empty}
      />
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
