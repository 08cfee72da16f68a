/** Changing one's own password. All of one's sessions end by it, this one too. */
import { Button, Modal, PasswordInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "@/api/client";
import { Trouble } from "@/parts/Waiting";
import { useGo } from "./address";
import css from "./Password.module.css";

export default function Password({ onClose }: { onClose: () => void }) {
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const [error, setError] = useState<unknown>(null);
  const queries = useQueryClient();
  const go = useGo();
  const change = async () => {
    setError(null);
    try {
      await send("post", "/api/v1/session/password", { body: { old, new: next } });
      onClose();
      queries.clear();
      go("/signin?problem=Your%20password%20is%20changed.%20Sign%20in%20with%20it.");
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Modal opened onClose={onClose} title={<strong>Change your password</strong>}>
      <form
        className={css.form}
        onSubmit={(event) => {
          event.preventDefault();
          void change();
        }}
      >
        <PasswordInput
          label="The one you have"
          autoComplete="current-password"
          required
          data-autofocus
          value={old}
          onChange={(event) => setOld(event.currentTarget.value)}
        />
        <PasswordInput
          label="The one to have"
          autoComplete="new-password"
          required
          value={next}
          onChange={(event) => setNext(event.currentTarget.value)}
        />
        {error !== null && <Trouble error={error} />}
        <Button type="submit" variant="filled">
          Change it
        </Button>
      </form>
    </Modal>
  );
}
