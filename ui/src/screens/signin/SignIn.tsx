/** Signing in: by the link of the command line, a name and a password, or the company's own sign-in. */
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { send, useGet } from "@/api/client";
import { useChosen, useGo } from "@/frame/address";
import { destination } from "@/frame/link";
import { Command } from "@/parts/Command";
import { Trouble } from "@/parts/Waiting";
import { useTitle } from "@/parts/When";
import css from "./SignIn.module.css";

export default function SignIn() {
  useTitle("Sign in");
  const [chosen] = useChosen();
  const ways = useGet("/api/v1/session/ways", {}, { staleTime: 60_000 });
  const known = ways.data?.ways ?? [];
  const to = destination(chosen.to);
  return (
    <main className={css.page}>
      <div className={css.card}>
        <h1>Sign in to Partita</h1>
        {chosen.problem && (
          <p className={css.problem} role="alert">
            {chosen.problem}
          </p>
        )}
        {known.includes("password") && <ByPassword to={to} />}
        {known.includes("oidc") && (
          <Button
            component="a"
            href="/api/v1/session/oidc"
            variant={known.includes("password") ? "default" : "filled"}
            fullWidth
            size="sm"
          >
            Sign in with your organisation
          </Button>
        )}
        {ways.error && <Trouble error={ways.error} again={() => void ways.refetch()} />}
        <div className={css.link}>
          <p>On the machine where it runs, this prints a link that lets you in, once:</p>
          <Command line="partita tokens link" />
        </div>
      </div>
    </main>
  );
}

function ByPassword({ to }: { to: string }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const queries = useQueryClient();
  const go = useGo();
  const enter = async () => {
    setBusy(true);
    setError(null);
    try {
      await send("post", "/api/v1/session", { body: { name, password } });
      queries.clear();
      go(to);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        void enter();
      }}
    >
      <TextInput
        label="Name"
        autoComplete="username"
        autoFocus
        required
        size="sm"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <PasswordInput
        label="Password"
        autoComplete="current-password"
        required
        size="sm"
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {error !== null && <Trouble error={error} />}
      <Button type="submit" variant="filled" size="sm" loading={busy}>
        Sign in
      </Button>
    </form>
  );
}
