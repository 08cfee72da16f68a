/** Go anywhere and do what the screen offers, by typing. */
import { Modal } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useMemo, useRef, useState } from "react";
import { get } from "@/api/client";
import { href, useGo } from "./address";
import css from "./Palette.module.css";
import { shortcuts } from "./shortcuts";

type Entry = { id: string; group: string; text: string; more?: string; keys?: string; act: () => void };

const SCREENS = [
  ["Today", "/"],
  ["Runs", "/runs"],
  ["Timeline of all runs", "/runs?view=timeline"],
  ["Pipelines", "/pipelines"],
  ["Assets", "/assets"],
  ["Lineage", "/lineage"],
  ["Schedules and sensors", "/schedules"],
  ["Calendar of the coming days", "/schedules?tab=calendar"],
  ["Backfills", "/backfills"],
  ["Approvals", "/approvals"],
  ["System", "/system"],
  ["Pools and limits", "/system?tab=limits"],
  ["Audit", "/system?tab=audit"],
  ["Notifications", "/system?tab=notifications"],
] as const;

/** Where a hit of the search leads. */
export function addressOf(hit: { of: string; name: string; namespace: string }): string {
  switch (hit.of) {
    case "asset":
      return href(["assets", hit.name]);
    case "schedule":
      return href(["schedules", hit.namespace, hit.name]);
    case "sensor":
      return href(["sensors", hit.namespace, hit.name]);
    case "run":
      return href(["runs", hit.name]);
    default:
      return href(["pipelines", hit.name]);
  }
}

export default function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const go = useGo();
  const asked = useDeferredValue(text.trim());
  const list = useRef<HTMLDivElement>(null);
  const found = useQuery({
    queryKey: ["palette", asked],
    queryFn: ({ signal }) => get("/api/v1/search", { query: { q: asked, limit: 20 } }, signal),
    enabled: asked.length > 0,
    placeholderData: keepPreviousData,
  });
  const entries = useMemo(() => {
    const to = (address: string) => () => {
      onClose();
      go(address);
    };
    const fits = (name: string) => name.toLowerCase().includes(asked.toLowerCase());
    const all: Entry[] = [];
    if (/^#?\d+$/.test(asked))
      all.push({
        id: "run",
        group: "Runs",
        text: `Run ${asked.replace("#", "")}`,
        act: to(href(["runs", asked.replace("#", "")])),
      });
    for (const hit of asked ? (found.data?.items ?? []) : []) {
      const group = `${hit.of.charAt(0).toUpperCase()}${hit.of.slice(1)}s`;
      all.push({
        id: `${hit.of}:${hit.namespace}:${hit.name}`,
        group,
        text: hit.name,
        more: hit.where === "name" ? hit.project : `${hit.where}: ${hit.text}`,
        act: to(addressOf(hit)),
      });
      if (hit.of === "pipeline")
        all.push({
          id: `launch:${hit.name}`,
          group,
          text: `Run ${hit.name} …`,
          more: "the launch form",
          act: to(href(["pipelines", hit.name], { tab: "launch" })),
        });
    }
    for (const shortcut of shortcuts()) {
      if (shortcut.keys === "mod+k" || !fits(shortcut.words)) continue;
      all.push({
        id: `do:${shortcut.keys}`,
        group: "On this screen",
        text: shortcut.words,
        keys: shortcut.keys,
        act: () => {
          onClose();
          setTimeout(shortcut.run);
        },
      });
    }
    for (const [name, address] of SCREENS)
      if (fits(name)) all.push({ id: address, group: "Go to", text: name, act: to(address) });
    return all;
  }, [asked, found.data, go, onClose]);
  const chosen = Math.min(at, entries.length - 1);
  const move = (by: number) => {
    const next = (chosen + by + entries.length) % Math.max(1, entries.length);
    setAt(next);
    list.current?.querySelector(`[data-at="${next}"]`)?.scrollIntoView({ block: "nearest" });
  };
  return (
    <Modal.Root
      opened
      onClose={onClose}
      padding={0}
      size={560}
      yOffset="12vh"
      lockScroll={false}
      transitionProps={{ duration: 0 }}
    >
      <Modal.Overlay />
      <Modal.Content aria-label="Go to, run, find">
        <input
          className={css.field}
          placeholder="A pipeline, asset, run number, screen or action"
          aria-label="Go to, run, find"
          role="combobox"
          aria-expanded
          aria-controls="palette-list"
          aria-activedescendant={entries[chosen] ? `palette-${chosen}` : undefined}
          autoFocus
          data-autofocus
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") move(1);
            else if (event.key === "ArrowUp") move(-1);
            else if (event.key === "Enter") entries[chosen]?.act();
            else return;
            event.preventDefault();
          }}
        />
        <div className={css.list} role="listbox" id="palette-list" ref={list} aria-label="What was found">
          {entries.length === 0 && (
            <p className={css.none}>
              {found.isFetching
                ? "Looking …"
                : "Nothing has this in its name, description, columns, owner or tags."}
            </p>
          )}
          {entries.map((entry, index) => (
            <div key={entry.id}>
              {entry.group !== entries[index - 1]?.group && <div className={css.group}>{entry.group}</div>}
              {/* biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the focus and answers enter */}
              <div
                id={`palette-${index}`}
                data-at={index}
                role="option"
                aria-selected={index === chosen}
                tabIndex={-1}
                className={css.entry}
                onMouseMove={() => setAt(index)}
                onClick={entry.act}
              >
                <span className={css.text}>{entry.text}</span>
                {entry.more && <span className={css.more}>{entry.more}</span>}
                {entry.keys && <kbd className={css.keys}>{entry.keys}</kbd>}
              </div>
            </div>
          ))}
        </div>
      </Modal.Content>
    </Modal.Root>
  );
}
