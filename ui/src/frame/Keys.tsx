/** The list of keys that the screen answers now. */
import { Modal } from "@mantine/core";
import { useState } from "react";
import { shortcuts } from "./shortcuts";

const NAMES: Record<string, string> = { "mod+k": "⌘K / Ctrl K", escape: "Esc", enter: "Enter" };

export default function Keys({ onClose }: { onClose: () => void }) {
  const [all] = useState(shortcuts);
  return (
    <Modal opened onClose={onClose} title={<strong>Keyboard</strong>}>
      <dl style={{ display: "grid", gridTemplateColumns: "110px 1fr", gap: "6px 12px", margin: 0 }}>
        {all.map(({ keys, words }) => (
          <div key={keys} style={{ display: "contents" }}>
            <dt>
              <kbd>{NAMES[keys] ?? keys}</kbd>
            </dt>
            <dd style={{ margin: 0 }}>{words}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
