/** The service itself: how it is, what waits and why, what is kept, who may, what was sent. */
import { lazy } from "react";
import { useMay } from "@/api/session";
import { useChosen } from "@/frame/address";
import { Page } from "@/parts/Page";
import { Tabs } from "@/parts/Tabs";

const Health = lazy(() => import("./Health"));
const Queues = lazy(() => import("./Queues"));
const Limits = lazy(() => import("./Limits"));
const Workers = lazy(() => import("./Workers"));
const Storage = lazy(() => import("./Storage"));
const Projects = lazy(() => import("./Projects"));
const Notifications = lazy(() => import("./Notifications"));
const Resources = lazy(() => import("./Resources"));
const Secrets = lazy(() => import("./Secrets"));
const People = lazy(() => import("./People"));
const Audit = lazy(() => import("./Audit"));

const COMMANDS: Record<string, string> = {
  health: "partita doctor",
  queues: "partita runs --state queued",
  limits: "partita pools",
  workers: "partita system",
  storage: "partita db storage",
  projects: "partita system",
  notifications: "partita notifications",
  resources: "partita resources",
  secrets: "partita secrets",
  people: "partita users",
  audit: "partita audit",
};

export default function System() {
  const [chosen, choose] = useChosen();
  const isAdmin = useMay("admin");
  const mayAudit = useMay("audit.read");
  const at = chosen.tab ?? "health";
  return (
    <Page title="System" command={COMMANDS[at]}>
      <Tabs
        label="system"
        at={at}
        onChange={(tab) => choose({ tab: tab === "health" ? undefined : tab, q: undefined }, { push: true })}
        tabs={[
          { id: "health", name: "Health", content: () => <Health /> },
          { id: "queues", name: "Queues", content: () => <Queues /> },
          { id: "limits", name: "Pools and limits", content: () => <Limits /> },
          { id: "workers", name: "Workers", content: () => <Workers /> },
          { id: "storage", name: "Storage", content: () => <Storage /> },
          { id: "projects", name: "Projects and versions", content: () => <Projects /> },
          { id: "notifications", name: "Notifications", content: () => <Notifications /> },
          { id: "resources", name: "Resources", content: () => <Resources /> },
          { id: "secrets", name: "Secrets", content: () => <Secrets /> },
          { id: "people", name: "Users and tokens", content: () => <People />, hidden: !isAdmin },
          { id: "audit", name: "Audit", content: () => <Audit />, hidden: !mayAudit },
        ]}
      />
    </Page>
  );
}
