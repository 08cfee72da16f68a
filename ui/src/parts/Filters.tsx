/** Filters above a list; their state is in the address. */
import { Button, Select, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useShortcut } from "@/frame/shortcuts";
import css from "./Filters.module.css";

export function Filters({ children, aside }: { children: ReactNode; aside?: ReactNode }) {
  return (
    <div className={css.filters} role="search">
      {children}
      {aside && <div className={css.aside}>{aside}</div>}
    </div>
  );
}

/** The filters that stand beside the first one; on a phone behind one button, which says how many are set. */
export function More({ set, children }: { set: number; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button className={css.opener} aria-expanded={open} onClick={() => setOpen(!open)}>
        {set > 0 ? `Filters (${set})` : "Filters"}
      </Button>
      <div className={`${css.more} ${open ? css.open : ""}`}>{children}</div>
    </>
  );
}

/** The search field; `/` goes there. What is typed counts after a moment's rest. */
export function Search({
  value,
  onChange,
  placeholder,
  label = "Search",
}: {
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  label?: string;
}) {
  const [text, setText] = useState(value);
  const field = useRef<HTMLInputElement>(null);
  const told = useRef(value);
  useEffect(() => {
    if (value !== told.current) setText(value);
    told.current = value;
  }, [value]);
  useEffect(() => {
    if (text === told.current) return;
    const timer = setTimeout(() => {
      told.current = text;
      onChange(text);
    }, 150);
    return () => clearTimeout(timer);
  }, [text, onChange]);
  useShortcut("/", () => field.current?.focus(), "search");
  return (
    <TextInput
      ref={field}
      aria-label={label}
      className={css.search}
      leftSection={<IconSearch size={14} />}
      placeholder={placeholder ?? label}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Escape" && field.current?.blur()}
    />
  );
}

/** One of some, or any. */
export function Choice({
  label,
  value,
  options,
  onChange,
  width = 150,
}: {
  label: string;
  value: string | undefined;
  options: (string | { value: string; label: string })[];
  onChange: (value: string | undefined) => void;
  width?: number;
}) {
  return (
    <Select
      aria-label={label}
      placeholder={label}
      data={options}
      value={value ?? null}
      onChange={(next) => onChange(next ?? undefined)}
      clearable
      searchable={options.length > 8}
      w={width}
    />
  );
}
