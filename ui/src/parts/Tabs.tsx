/** Tabs whose choice is in the address; only the panel that is seen exists. */
import type { ReactNode } from "react";
import { useShortcut } from "@/frame/shortcuts";
import css from "./Tabs.module.css";

export type Tab = {
  id: string;
  name: ReactNode;
  key?: string;
  count?: number;
  content: () => ReactNode;
  hidden?: boolean;
};

export function Tabs({
  tabs,
  at,
  onChange,
  label,
  aside,
}: {
  tabs: Tab[];
  at: string;
  onChange: (id: string) => void;
  label: string;
  aside?: ReactNode;
}) {
  // Ids are lists of words where they are referred to.
  const slug = label.replace(/\W+/g, "-");
  const shown = tabs.filter((tab) => !tab.hidden);
  const current = shown.find((tab) => tab.id === at) ?? shown[0];
  const step = (by: number) => {
    const next = shown[(shown.findIndex((tab) => tab.id === current?.id) + by + shown.length) % shown.length];
    if (next) {
      onChange(next.id);
      document.getElementById(`tab-${slug}-${next.id}`)?.focus();
    }
  };
  return (
    <div className={css.tabs}>
      <div className={css.bar}>
        <div role="tablist" aria-label={label} className={css.list}>
          {shown.map((tab) => (
            <button
              key={tab.id}
              type="button"
              role="tab"
              id={`tab-${slug}-${tab.id}`}
              aria-selected={tab === current}
              aria-controls={`panel-${slug}`}
              tabIndex={tab === current ? 0 : -1}
              className={css.tab}
              onClick={() => onChange(tab.id)}
              onKeyDown={(event) => {
                if (event.key === "ArrowRight") step(1);
                if (event.key === "ArrowLeft") step(-1);
              }}
            >
              {tab.name}
              {tab.count !== undefined && <span className={css.count}>{tab.count}</span>}
              {tab.key && <TabKey tab={tab} onChange={onChange} />}
            </button>
          ))}
        </div>
        {aside && <div className={css.aside}>{aside}</div>}
      </div>
      <div
        role="tabpanel"
        id={`panel-${slug}`}
        aria-labelledby={`tab-${slug}-${current?.id}`}
        className={css.panel}
      >
        {current?.content()}
      </div>
    </div>
  );
}

function TabKey({ tab, onChange }: { tab: Tab; onChange: (id: string) => void }) {
  useShortcut(
    tab.key!,
    () => onChange(tab.id),
    `show ${typeof tab.name === "string" ? tab.name.toLowerCase() : tab.id}`,
  );
  return null;
}
