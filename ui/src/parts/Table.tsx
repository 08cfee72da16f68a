/**
 * The one table: sorted by a click on its head, moved through with j, k and enter, selected with x, exported as CSV;
 * long ones draw only the rows that are seen.
 */
import { Checkbox, Tooltip } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import {
  type ColumnDef,
  getCoreRowModel,
  getSortedRowModel,
  type Row,
  type RowSelectionState,
  type SortingState,
  useReactTable,
} from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Fragment, memo, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useShortcut } from "@/frame/shortcuts";
import { csvOf } from "./csv";
import css from "./Table.module.css";

export type Column<T> = {
  id: string;
  head: ReactNode;
  cell: (row: T) => ReactNode;
  /** What is sorted by, and stands in the CSV; without it the column is neither sorted nor exported. */
  value?: (row: T) => string | number | null | undefined;
  /** Numbers to the right. */
  right?: boolean;
  /** CSS width: "120px", "20%"; without it the column takes its share of what is left. */
  width?: string;
  /** Left out on a phone. */
  wide?: boolean;
};

type Props<T> = {
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string;
  /** Enter or a click on a row. */
  onOpen?: (row: T) => void;
  /** The row that is shown elsewhere (in the inspector, say). */
  current?: string;
  selected?: Set<string>;
  onSelect?: (keys: Set<string>) => void;
  /** A name for the export and for those who listen: "runs". */
  name: string;
  more?: () => void;
  hasMore?: boolean;
  empty?: ReactNode;
  /** The height in which it scrolls by itself; else the page scrolls. */
  height?: string;
  sort?: { id: string; desc: boolean };
  noKeys?: boolean;
  /** Rows that follow one another and have the same group stand under its name, as long as nothing is sorted. */
  groupOf?: (row: T) => string;
};

const ROW = 32;

export function Table<T>({
  columns,
  rows,
  rowKey,
  onOpen,
  current,
  selected,
  onSelect,
  name,
  more,
  hasMore,
  empty,
  height,
  sort,
  noKeys,
  groupOf,
}: Props<T>) {
  const [sorting, setSorting] = useState<SortingState>(sort ? [sort] : []);
  const [active, setActive] = useState(-1);
  const box = useRef<HTMLDivElement>(null);
  const defs = useMemo<ColumnDef<T>[]>(
    () =>
      columns.map((column) => ({
        id: column.id,
        accessorFn: (row: T) => column.value?.(row) ?? undefined,
        enableSorting: column.value !== undefined,
        sortUndefined: "last",
        sortDescFirst: false,
      })),
    [columns],
  );
  const rowSelection = useMemo<RowSelectionState>(
    () => Object.fromEntries([...(selected ?? [])].map((key) => [key, true])),
    [selected],
  );
  const table = useReactTable({
    data: rows,
    columns: defs,
    getRowId: rowKey,
    state: { sorting, rowSelection },
    onSortingChange: setSorting,
    onRowSelectionChange: (update) => {
      const next = typeof update === "function" ? update(rowSelection) : update;
      onSelect?.(new Set(Object.keys(next).filter((key) => next[key])));
    },
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
  });
  const shown = table.getRowModel().rows;
  /** The name of the group that begins with this row. */
  const beginsAt = (at: number): string | undefined => {
    const row = shown[at];
    if (!groupOf || sorting.length > 0 || !row) return undefined;
    const name = groupOf(row.original);
    const above = shown[at - 1];
    return above && groupOf(above.original) === name ? undefined : name;
  };
  const scroller = () =>
    height ? box.current : (document.getElementById("content") ?? document.documentElement);
  const offset = height ? 0 : (box.current?.offsetTop ?? 0);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: scroller,
    estimateSize: (at) => (beginsAt(at) === undefined ? ROW : 2 * ROW),
    overscan: 16,
    scrollMargin: offset,
  });
  const seen = virtual.getVirtualItems();
  const first = seen[0];
  const last = seen[seen.length - 1];
  const before = first ? first.start - offset : 0;
  const after = last ? virtual.getTotalSize() - (last.end - offset) : 0;

  useEffect(() => {
    if (more && hasMore && last && last.index >= shown.length - 20) more();
  }, [more, hasMore, last, shown.length]);

  const move = (to: number) => {
    const next = Math.max(0, Math.min(shown.length - 1, to));
    setActive(next);
    virtual.scrollToIndex(next, { align: "auto" });
  };
  const keys = !noKeys && shown.length > 0;
  useShortcut("j", () => move(active + 1), `next of the ${name}`, keys);
  useShortcut("k", () => move(active - 1), `previous of the ${name}`, keys);
  useShortcut(
    "enter",
    () => shown[active] && onOpen?.(shown[active].original),
    "open",
    keys && onOpen !== undefined,
  );
  useShortcut("x", () => shown[active]?.toggleSelected(), "select", keys && onSelect !== undefined);

  const latest = useRef(onOpen);
  latest.current = onOpen;
  const press = useCallback((row: Row<T>, index: number, opens: boolean) => {
    setActive(index);
    if (opens) latest.current?.(row.original);
  }, []);
  if (rows.length === 0 && !hasMore) return <>{empty ?? <p className={css.none}>None.</p>}</>;
  return (
    <div ref={box} className={css.box} style={height ? { maxHeight: height, overflow: "auto" } : undefined}>
      <table className={css.table} aria-label={name} aria-rowcount={shown.length}>
        <colgroup>
          {onSelect && <col style={{ width: 34 }} />}
          {columns.map((column) => (
            <col
              key={column.id}
              className={column.wide ? css.wide : undefined}
              style={{ width: column.width }}
            />
          ))}
        </colgroup>
        <thead>
          <tr>
            {onSelect && (
              <th scope="col" className={css.pick}>
                <Checkbox
                  aria-label={`select all ${name}`}
                  checked={table.getIsAllRowsSelected()}
                  indeterminate={table.getIsSomeRowsSelected()}
                  onChange={table.getToggleAllRowsSelectedHandler()}
                />
              </th>
            )}
            {columns.map((column) => {
              const head = table.getColumn(column.id);
              const sorted = head?.getIsSorted();
              return (
                <th
                  key={column.id}
                  scope="col"
                  className={`${column.right ? css.right : ""} ${column.wide ? css.wide : ""}`}
                  aria-sort={sorted === "asc" ? "ascending" : sorted === "desc" ? "descending" : undefined}
                >
                  {column.value ? (
                    <button type="button" className={css.sort} onClick={head?.getToggleSortingHandler()}>
                      {column.head}
                      <span aria-hidden className={css.arrow}>
                        {sorted === "asc" ? "↑" : sorted === "desc" ? "↓" : ""}
                      </span>
                    </button>
                  ) : (
                    column.head
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }} />}
          {seen.map((item) => {
            const row = shown[item.index];
            if (!row) return null;
            const group = beginsAt(item.index);
            const drawn = (
              <Line
                key={row.id}
                row={row}
                columns={columns}
                index={item.index}
                look={`${onOpen ? css.opens : ""} ${item.index === active ? css.active : ""} ${row.id === current ? css.current : ""}`}
                isPicked={onSelect ? row.getIsSelected() : undefined}
                onPress={press}
              />
            );
            if (group === undefined) return drawn;
            return (
              <Fragment key={row.id}>
                <tr className={css.group}>
                  <th scope="rowgroup" colSpan={columns.length + (onSelect ? 1 : 0)}>
                    {group}
                  </th>
                </tr>
                {drawn}
              </Fragment>
            );
          })}
          {after > 0 && <tr aria-hidden style={{ height: after }} />}
        </tbody>
      </table>
      {hasMore && (
        <button type="button" className={css.more} onClick={more}>
          More
        </button>
      )}
    </div>
  );
}

type LineProps<T> = {
  row: Row<T>;
  columns: Column<T>[];
  index: number;
  look: string;
  /** Whether it is selected; undefined where nothing can be. */
  isPicked: boolean | undefined;
  onPress: (row: Row<T>, index: number, opens: boolean) => void;
};

/** A row. It is drawn anew only when it is another one, so that scrolling costs what comes into sight. */
const Line = memo(function Line<T>({ row, columns, index, look, isPicked, onPress }: LineProps<T>) {
  return (
    <tr
      aria-rowindex={index + 1}
      className={`${css.row} ${look}`}
      onClick={(event) => {
        // A link or button within the row is what was meant; so is text that was marked to be copied.
        const within = (event.target as HTMLElement).closest("a, button, input, label");
        onPress(row, index, !within && !getSelection()?.toString());
      }}
    >
      {isPicked !== undefined && (
        <td className={css.pick}>
          <Checkbox
            aria-label={`select ${row.id}`}
            checked={isPicked}
            onChange={row.getToggleSelectedHandler()}
          />
        </td>
      )}
      {columns.map((column) => (
        <td key={column.id} className={`${column.right ? css.right : ""} ${column.wide ? css.wide : ""}`}>
          {column.cell(row.original)}
        </td>
      ))}
    </tr>
  );
}) as <T>(props: LineProps<T> & { key?: string }) => ReactNode;

/** A button that saves the rows of a table as CSV. */
export function Export<T>({ columns, rows, name }: { columns: Column<T>[]; rows: T[]; name: string }) {
  const save = () => {
    const valued = columns.filter((column) => column.value);
    const lines = csvOf([
      valued.map((column) => column.id),
      ...rows.map((row) => valued.map((column) => column.value?.(row) ?? "")),
    ]);
    const address = URL.createObjectURL(new Blob([lines], { type: "text/csv;charset=utf-8" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = `${name}.csv`;
    link.click();
    URL.revokeObjectURL(address);
  };
  return (
    <Tooltip label={`save these ${rows.length} as CSV`}>
      <button type="button" className={css.export} aria-label={`save ${name} as CSV`} onClick={save}>
        <IconDownload size={15} />
      </button>
    </Tooltip>
  );
}
