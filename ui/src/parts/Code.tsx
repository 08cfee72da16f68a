/**
 * Code to read, drawn by CodeMirror. Loaded lazily: `lazy(() => import("@/parts/Code"))`.
 *
 * Rule: it lives in a shadow root, where its styles are constructed sheets: the content security policy allows no others.
 */
import { json } from "@codemirror/lang-json";
import { python } from "@codemirror/lang-python";
import { sql } from "@codemirror/lang-sql";
import { foldGutter, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { MergeView, unifiedMergeView } from "@codemirror/merge";
import { EditorState, type Extension, RangeSetBuilder } from "@codemirror/state";
import { Decoration, EditorView, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";

export type CodeProps = {
  text: string;
  /** By its ending the language is known. */
  file: string;
  /** Lines to be marked, from 1; the first of them is scrolled to. */
  mark?: { first: number; last: number } | undefined;
  onLine?: (line: number) => void;
  label: string;
  height?: number | string;
};

export default function Code({ text, file, mark, onLine, label, height = 360 }: CodeProps) {
  const host = useRef<HTMLDivElement>(null);
  const pick = useRef(onLine);
  pick.current = onLine;
  const first = mark?.first ?? 0;
  const last = mark?.last ?? 0;
  useEffect(() => {
    const [root, parent] = roomIn(host.current);
    if (!root || !parent) return;
    const view = new EditorView({
      root,
      parent,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers({
            domEventHandlers: {
              click: (editor, line) => {
                pick.current?.(editor.state.doc.lineAt(line.from).number);
                return pick.current !== undefined;
              },
            },
          }),
          foldGutter(),
          ...reading(file, label),
          marked(first, last),
        ],
      }),
    });
    if (first > 0 && first <= view.state.doc.lines)
      view.dispatch({
        effects: EditorView.scrollIntoView(view.state.doc.line(first).from, { y: "start", yMargin: 24 }),
      });
    return () => view.destroy();
  }, [text, file, first, last, label]);
  return <div ref={host} style={{ height, minHeight: 0 }} data-code={file} />;
}

/** Two texts of a file, one beside the other (or in one, where there is no room); what is the same is folded. */
export function CodeDiff({
  before,
  after,
  file,
  label,
  beside,
  height,
}: {
  before: string;
  after: string;
  file: string;
  label: string;
  beside?: boolean;
  height?: number | string;
}) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const [root, parent] = roomIn(host.current);
    if (!root || !parent) return;
    const extensions = [lineNumbers(), ...reading(file, label)];
    const collapseUnchanged = { margin: 3, minSize: 6 };
    if (beside) {
      const view = new MergeView({
        a: { doc: before, extensions },
        b: { doc: after, extensions },
        root,
        parent,
        collapseUnchanged,
        gutter: true,
      });
      return () => view.destroy();
    }
    const view = new EditorView({
      root,
      parent,
      state: EditorState.create({
        doc: after,
        extensions: [
          ...extensions,
          unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged, gutter: true }),
        ],
      }),
    });
    return () => view.destroy();
  }, [before, after, file, label, beside]);
  return <div ref={host} style={{ ...(height ? { height } : {}), minHeight: 0 }} data-diff={file} />;
}

/** An empty room for a view in the shadow of an element. */
function roomIn(host: HTMLDivElement | null): [ShadowRoot, HTMLElement] | [null, null] {
  if (!host) return [null, null];
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  root.replaceChildren();
  const room = document.createElement("div");
  room.style.height = "100%";
  root.append(room);
  return [root, room];
}

function reading(file: string, label: string): Extension[] {
  return [
    EditorState.readOnly.of(true),
    EditorView.editable.of(false),
    EditorView.contentAttributes.of({ tabindex: "0", "aria-label": label }),
    EditorView.lineWrapping,
    syntaxHighlighting(COLOURS),
    LOOK,
    ...languageOf(file),
  ];
}

function languageOf(file: string): Extension[] {
  if (file.endsWith(".py")) return [python()];
  if (file.endsWith(".sql")) return [sql()];
  return file.endsWith(".json") ? [json()] : [];
}

function marked(first: number, last: number): Extension {
  if (first < 1) return [];
  const line = Decoration.line({ class: "cm-marked" });
  return EditorView.decorations.of((view) => {
    const found = new RangeSetBuilder<Decoration>();
    for (let no = first; no <= Math.min(last, view.state.doc.lines); no += 1) {
      const { from } = view.state.doc.line(no);
      found.add(from, from, line);
    }
    return found.finish();
  });
}

const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--p-code-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--p-code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--p-code-number)" },
  { tag: [tags.comment, tags.meta], color: "var(--p-code-comment)", fontStyle: "italic" },
  {
    tag: [
      tags.function(tags.variableName),
      tags.definition(tags.function(tags.variableName)),
      tags.className,
    ],
    color: "var(--p-code-name)",
  },
]);

const LOOK = EditorView.theme({
  "&": { height: "100%", fontSize: "12px", backgroundColor: "var(--p-sunken)", color: "var(--p-text)" },
  "&.cm-focused": { outline: "2px solid var(--p-focus)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--p-mono)", lineHeight: "18px", fontVariantLigatures: "none" },
  ".cm-content": { padding: "6px 0" },
  ".cm-gutters": { backgroundColor: "var(--p-sunken)", color: "var(--p-dim)", border: "none" },
  ".cm-lineNumbers .cm-gutterElement": { cursor: "pointer" },
  ".cm-foldPlaceholder": {
    backgroundColor: "var(--p-hover)",
    border: "1px solid var(--p-border)",
    color: "var(--p-dim)",
  },
  ".cm-marked": { backgroundColor: "var(--p-accent-soft)" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": {
    backgroundColor: "var(--p-accent-soft) !important",
  },
  ".cm-changedLine": { backgroundColor: "var(--p-succeeded-soft) !important" },
  ".cm-insertedLine": { backgroundColor: "var(--p-succeeded-soft) !important" },
  ".cm-deletedChunk, .cm-deletedLine": { backgroundColor: "var(--p-failed-soft) !important" },
  ".cm-changedText, .cm-insertedLine .cm-changedText": {
    background: "color-mix(in srgb, var(--p-succeeded-fill) 35%, transparent) !important",
  },
  ".cm-deletedText, .cm-deletedChunk .cm-deletedText": {
    background: "color-mix(in srgb, var(--p-failed-fill) 35%, transparent) !important",
  },
  ".cm-collapsedLines": {
    background: "var(--p-hover)",
    color: "var(--p-dim)",
    borderTop: "1px solid var(--p-border)",
    borderBottom: "1px solid var(--p-border)",
  },
  // Their marks are letters that few fonts have.
  ".cm-collapsedLines:before, .cm-collapsedLines:after": { content: "none !important" },
});
