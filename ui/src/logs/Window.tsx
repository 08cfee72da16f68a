/** The lines that are seen of a log of any length: rows of one height, placed by arithmetic, so a million cost as much as ten. */
import { useVirtualizer } from "@tanstack/react-virtual";
import {
  forwardRef,
  type ReactNode,
  useEffect,
  useImperativeHandle,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import css from "./LogView.module.css";

export const ROW = 18;
/** Browsers end a page at some 33 million pixels: longer logs scroll by share. */
const TALLEST = 24_000_000;
const OVER = 12;
/** Wrapped lines have to be measured one by one. */
export const MOST_WRAPPED = 50_000;

export type Handle = { show: (place: number, where?: "middle" | "end") => void; first: () => number };

type Props = {
  count: number;
  label: string;
  digits: number;
  wrap: boolean;
  /** Stay at the end while lines come. */
  tail: boolean;
  row: (place: number) => ReactNode;
  onSeen: (first: number, last: number) => void;
  onTail: (isAtEnd: boolean) => void;
};

export const Window = forwardRef<Handle, Props>(function Window(props, handle) {
  return props.wrap ? <Measured {...props} handle={handle} /> : <Even {...props} handle={handle} />;
});

type Inner = Props & { handle: React.ForwardedRef<Handle> };

function Even({ count, label, digits, tail, row, onSeen, onTail, handle }: Inner) {
  const box = useRef<HTMLDivElement>(null);
  const [{ top, height }, see] = useState({ top: 0, height: 400 });
  const full = Math.min(count * ROW, TALLEST);
  const rows = Math.ceil(height / ROW);
  const isScaled = count * ROW > TALLEST;
  const share = isScaled ? (count - rows) / Math.max(1, full - height) : 1 / ROW;
  const first = Math.max(0, Math.min(count - 1, Math.floor(top * share)));
  const begin = Math.max(0, first - OVER);
  const end = Math.min(count, first + rows + OVER);
  // Below the first row that is seen by what of it is scrolled away.
  const shift = isScaled ? Math.max(0, top - (first - begin) * ROW) : begin * ROW;

  useLayoutEffect(() => {
    const at = box.current;
    if (!at) return;
    const look = () => see({ top: at.scrollTop, height: at.clientHeight });
    const sizes = new ResizeObserver(look);
    sizes.observe(at);
    look();
    return () => sizes.disconnect();
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: more lines, or a smaller window, move the end
  useLayoutEffect(() => {
    if (tail && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [tail, count, height]);
  useEffect(() => onSeen(begin, end - 1), [begin, end, onSeen]);
  useImperativeHandle(handle, () => ({
    first: () => first,
    show: (place, where = "middle") => {
      const at = box.current;
      if (!at) return;
      const wanted = where === "end" ? place - rows + 1 : place - Math.floor(rows / 3);
      at.scrollTop = Math.max(0, wanted) / share;
    },
  }));
  return (
    <div
      ref={box}
      className={css.scroll}
      role="log"
      aria-label={label}
      aria-live="off"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
      tabIndex={0}
      onScroll={(event) => {
        const at = event.currentTarget;
        see({ top: at.scrollTop, height: at.clientHeight });
        onTail(at.scrollHeight - at.scrollTop - at.clientHeight < ROW * 2);
      }}
    >
      <div className={css.all} style={{ height: full, ...digitsOf(digits) }}>
        <div className={css.shown} style={{ transform: `translateY(${shift}px)` }}>
          {places(begin, end).map(row)}
        </div>
      </div>
    </div>
  );
}

function Measured({ count, label, digits, tail, row, onSeen, onTail, handle }: Inner) {
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: OVER,
  });
  const items = virtual.getVirtualItems();
  const begin = items[0]?.index ?? 0;
  const end = items.at(-1)?.index ?? -1;
  useEffect(() => onSeen(begin, end), [begin, end, onSeen]);
  useLayoutEffect(() => {
    if (tail && count > 0) virtual.scrollToIndex(count - 1, { align: "end" });
  }, [tail, count, virtual]);
  useImperativeHandle(handle, () => ({
    first: () => begin,
    show: (place, where = "middle") =>
      virtual.scrollToIndex(place, { align: where === "end" ? "end" : "center" }),
  }));
  return (
    <div
      ref={box}
      className={css.scroll}
      role="log"
      aria-label={label}
      aria-live="off"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
      tabIndex={0}
      onScroll={(event) => {
        const at = event.currentTarget;
        onTail(at.scrollHeight - at.scrollTop - at.clientHeight < ROW * 2);
      }}
    >
      <div
        className={`${css.all} ${css.wrapped}`}
        style={{ height: virtual.getTotalSize(), ...digitsOf(digits) }}
      >
        <div className={css.shown} style={{ transform: `translateY(${items[0]?.start ?? 0}px)` }}>
          {items.map((item) => (
            <div key={item.key} ref={virtual.measureElement} data-index={item.index}>
              {row(item.index)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

function digitsOf(digits: number): React.CSSProperties {
  return { "--log-digits": `${digits}ch` } as React.CSSProperties;
}

function places(begin: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - begin) }, (_, at) => begin + at);
}
