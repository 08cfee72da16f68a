/** The panel at the right for what is selected; the page behind it stays in place. */
import { ActionIcon, Tooltip } from "@mantine/core";
import { IconLayoutSidebarRight, IconX } from "@tabler/icons-react";
import { type ReactNode, useState, useSyncExternalStore } from "react";
import { createPortal } from "react-dom";
import css from "./Inspector.module.css";
import { useShortcut } from "./shortcuts";

const KEY = "partita.inspector";
let slot: HTMLElement | null = null;
const tellers = new Set<() => void>();

/** Where the frame puts the panel. */
export function InspectorSlot() {
  return (
    <div
      className={css.slot}
      ref={(element) => {
        slot = element;
        for (const tell of tellers) tell();
      }}
    />
  );
}

export function Inspector({
  title,
  actions,
  onClose,
  children,
}: {
  title: ReactNode;
  actions?: ReactNode;
  onClose: () => void;
  children: ReactNode;
}) {
  const place = useSyncExternalStore(
    (tell) => {
      tellers.add(tell);
      return () => tellers.delete(tell);
    },
    () => slot,
  );
  const [half, setHalf] = useState(() => localStorage.getItem(KEY) === "half");
  useShortcut("escape", onClose, "close the panel");
  if (!place) return null;
  const toggle = () => {
    localStorage.setItem(KEY, half ? "" : "half");
    setHalf(!half);
  };
  return createPortal(
    <aside className={`${css.inspector} ${half ? css.half : ""}`} aria-label="Inspector">
      <header className={css.head}>
        <div className={css.title}>{title}</div>
        <div className={css.actions}>
          {actions}
          <Tooltip label={half ? "narrower" : "half of the window"}>
            <ActionIcon
              onClick={toggle}
              aria-label={half ? "narrower" : "half of the window"}
              className={css.pin}
            >
              <IconLayoutSidebarRight size={16} />
            </ActionIcon>
          </Tooltip>
          <ActionIcon onClick={onClose} aria-label="close">
            <IconX size={16} />
          </ActionIcon>
        </div>
      </header>
      <div className={css.body}>{children}</div>
    </aside>,
    place,
  );
}
