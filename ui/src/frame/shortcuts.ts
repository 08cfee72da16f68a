/**
 * The keyboard: who is on the screen says which keys it answers, `?` lists them.
 *
 * Rule: keys typed into a field belong to the field; of two that want the same key, the one mounted last has it.
 */
import { useEffect, useRef } from "react";

export type Shortcut = { keys: string; words: string; run: () => void };

const active: Shortcut[] = [];

/** Answer a key while mounted: "r", "?", "mod+k", "g r" is not needed. `words` stand in the list. */
export function useShortcut(keys: string, run: () => void, words: string, enabled = true): void {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => {
    if (!enabled) return;
    const shortcut: Shortcut = { keys, words, run: () => latest.current() };
    active.push(shortcut);
    return () => {
      active.splice(active.indexOf(shortcut), 1);
    };
  }, [keys, words, enabled]);
}

/** All that can be pressed now, the nearest first. */
export function shortcuts(): Shortcut[] {
  const seen = new Set<string>();
  return [...active].reverse().filter((shortcut) => !seen.has(shortcut.keys) && seen.add(shortcut.keys));
}

/** The name of what was pressed: "r", "shift+r", "mod+k", "enter". */
export function pressed(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">,
): string {
  const key = event.key.toLowerCase();
  const letter = key.length === 1 && key.toUpperCase() !== key.toLowerCase();
  return [
    event.ctrlKey || event.metaKey ? "mod+" : "",
    event.altKey ? "alt+" : "",
    event.shiftKey && (letter || key.length > 1) ? "shift+" : "",
    key,
  ].join("");
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest(
      "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true], .cm-editor",
    ) !== null
  );
}

/** Listen on the window; ends with the function that it returns. */
export function listen(): () => void {
  const hear = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing) return;
    const keys = pressed(event);
    if (!keys.startsWith("mod+") && isTyping(event.target)) return;
    // Enter and space on a button press the button; in a dialog keys are the dialog's.
    if (
      ["enter", " "].includes(keys) &&
      event.target instanceof HTMLElement &&
      event.target.closest("a, button, [role=button], summary")
    )
      return;
    if (
      !keys.startsWith("mod+") &&
      keys !== "escape" &&
      document.querySelector("[role=dialog][aria-modal=true]")
    )
      return;
    const found = shortcuts().find((shortcut) => shortcut.keys === keys);
    if (!found) return;
    event.preventDefault();
    found.run();
  };
  window.addEventListener("keydown", hear);
  return () => window.removeEventListener("keydown", hear);
}
