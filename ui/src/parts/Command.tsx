/** Text that people take away: copied whole, and the command line that does what the screen shows. */
import { Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useState } from "react";
import css from "./Command.module.css";

/** A small button that copies. */
export function Copy({ text, label = "copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <Tooltip label={done ? "copied" : label}>
      <button
        type="button"
        className={css.copy}
        aria-label={done ? "copied" : label}
        onClick={() => void copy()}
      >
        {done ? <IconCheck size={13} /> : <IconCopy size={13} />}
      </button>
    </Tooltip>
  );
}

/** Put text on the clipboard, also where the page is not served securely (a name on the local network). */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** An id, key or name in the fixed face, with its copy button. */
export function Key({ children, short }: { children: string; short?: boolean }) {
  return (
    <span className={css.key}>
      <code title={children}>{short ? children.slice(0, 8) : children}</code>
      <Copy text={children} />
    </span>
  );
}

/** The command that says or does the same. */
export function Command({ line }: { line: string }) {
  return (
    <div className={css.command}>
      <span className={css.prompt} aria-hidden>
        $
      </span>
      <code>{line}</code>
      <Copy text={line} label="copy the command" />
    </div>
  );
}
