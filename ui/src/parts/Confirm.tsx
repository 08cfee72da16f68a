/** A question before what cannot be taken back, and a change's answer. Rule: the button says what it does. */
import { Button, Modal, Textarea } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { Trouble } from "./Waiting";

export function Confirm({
  opened,
  title,
  children,
  action,
  danger,
  reason,
  onConfirm,
  onClose,
}: {
  opened: boolean;
  title: string;
  children?: ReactNode;
  /** What the button says: "Cancel 3 runs". */
  action: string;
  danger?: boolean;
  /** Ask for a reason too; "required" or "optional". */
  reason?: "required" | "optional";
  onConfirm: (reason: string) => Promise<unknown>;
  onClose: () => void;
}) {
  const [text, setText] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm(text.trim());
      setText("");
      onClose();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened={opened} onClose={onClose} title={<strong>{title}</strong>}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
        style={{ display: "flex", flexDirection: "column", gap: 12 }}
      >
        {children}
        {reason && (
          <Textarea
            label="Reason"
            description="Stands in the history and in why"
            required={reason === "required"}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            data-autofocus
          />
        )}
        {error !== null && <Trouble error={error} />}
        <div style={{ display: "flex", justifyContent: "flex-end", gap: 8 }}>
          <Button onClick={onClose} type="button">
            Leave it
          </Button>
          <Button
            type="submit"
            variant="filled"
            color={danger ? "red" : undefined}
            loading={busy}
            data-autofocus={reason ? undefined : true}
          >
            {action}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
