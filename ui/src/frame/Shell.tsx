/** The frame around every screen: rail, top line, the inspector's place, the palette. */
import { ActionIcon, Menu, Tooltip, useMantineColorScheme } from "@mantine/core";
import {
  IconAlertTriangle,
  IconBox,
  IconCalendarTime,
  IconDots,
  IconHandStop,
  IconHistory,
  IconMoon,
  IconPlayerPlay,
  IconRoute,
  IconSearch,
  IconServer,
  IconSun,
  IconSunHigh,
} from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { refreshAll } from "@/api/client";
import { follow, useConnection } from "@/api/live";
import { asProblem } from "@/api/problem";
import { useSession } from "@/api/session";
import { To } from "@/parts/To";
import { setZone, useZone, zoneName } from "@/parts/time";
import { Empty, Skeleton, Trouble } from "@/parts/Waiting";
import { fetchTheRest } from "@/routes";
import { useGo } from "./address";
import { useWaiting } from "./counts";
import { InspectorSlot } from "./Inspector";
import css from "./Shell.module.css";
import { listen, useShortcut } from "./shortcuts";

const Palette = lazy(() => import("./Palette"));
const Keys = lazy(() => import("./Keys"));
const Password = lazy(() => import("./Password"));

const RAIL = [
  { to: "/", name: "Today", icon: IconSunHigh, of: "broken" },
  { to: "/runs", name: "Runs", icon: IconPlayerPlay },
  { to: "/pipelines", name: "Pipelines", icon: IconRoute },
  { to: "/assets", name: "Assets", icon: IconBox },
  { to: "/schedules", name: "Schedules", icon: IconCalendarTime },
  { to: "/backfills", name: "Backfills", icon: IconHistory },
  { to: "/approvals", name: "Approvals", icon: IconHandStop, of: "approvals" },
  { to: "/system", name: "System", icon: IconServer, of: "unwell" },
] as const;

export function Shell() {
  const path = useRouterState({ select: (state) => state.location.pathname });
  if (path === "/signin") return <Outlet />;
  return <Framed path={path} />;
}

function Framed({ path }: { path: string }) {
  const session = useSession();
  const queries = useQueryClient();
  const signedOut = session.error !== null && asProblem(session.error).status === 401;
  const go = useGo();
  useEffect(() => {
    if (signedOut) go(`/signin?to=${encodeURIComponent(location.pathname + location.search)}`);
  }, [signedOut, go]);
  const signedIn = session.data !== undefined;
  useEffect(() => {
    if (!signedIn) return;
    fetchTheRest();
    return follow(queries);
  }, [queries, signedIn]);
  useEffect(listen, []);
  if (signedOut) return null;
  return (
    <div className={css.frame}>
      <a href="#content" className={css.skip}>
        To the content
      </a>
      <Rail path={path} />
      <Top />
      <div className={css.middle}>
        <main id="content" className={css.content} tabIndex={-1}>
          <Suspense fallback={<Skeleton rows={8} />}>
            <Outlet />
          </Suspense>
        </main>
        <InspectorSlot />
      </div>
      <Dialogs />
    </div>
  );
}

function Rail({ path }: { path: string }) {
  const waiting = useWaiting();
  return (
    <nav className={css.rail} aria-label="Screens">
      <To to="/" className={css.brand} aria-label="Partita, today">
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden>
          <rect width="32" height="32" rx="7" fill="#4f46c8" />
          <rect x="7" y="8" width="10" height="3.6" rx="1.8" fill="#fff" />
          <rect x="12" y="14.2" width="13" height="3.6" rx="1.8" fill="#fff" />
          <rect x="7" y="20.4" width="7" height="3.6" rx="1.8" fill="#fff" opacity=".65" />
        </svg>
        <span>Partita</span>
      </To>
      {RAIL.map(({ to, name, icon: Icon, ...rest }) => {
        const here =
          to === "/"
            ? path === "/"
            : path.startsWith(to) ||
              (to === "/schedules" && path.startsWith("/sensors")) ||
              (to === "/assets" && path.startsWith("/lineage"));
        const count = "of" in rest ? waiting[rest.of] : 0;
        return (
          <To key={to} to={to} className={css.item} aria-current={here ? "page" : undefined} title={name}>
            <Icon size={17} stroke={1.7} />
            <span className={css.name}>{name}</span>
            {count > 0 && (
              <span className={`${css.badge} ${"of" in rest && rest.of !== "approvals" ? css.bad : ""}`}>
                {count}
              </span>
            )}
          </To>
        );
      })}
    </nav>
  );
}

function Top() {
  const connection = useConnection();
  return (
    <header className={css.top}>
      <button type="button" className={css.find} onClick={() => ask("palette")}>
        <IconSearch size={14} />
        <span>Go to, run, find</span>
        <kbd>{/Mac|iP/.test(navigator.userAgent) ? "⌘K" : "Ctrl K"}</kbd>
      </button>
      <div className={css.right}>
        {connection === "lost" && (
          <Tooltip label="The server does not answer. What is shown may be old; this page tries again by itself.">
            <span className={css.lost} role="status">
              <IconAlertTriangle size={14} /> not live
            </span>
          </Tooltip>
        )}
        <ZoneSwitch />
        <Theme />
        <Who />
      </div>
    </header>
  );
}

function ZoneSwitch() {
  const [zone] = useZone();
  return (
    <Menu>
      <Menu.Target>
        <button type="button" className={css.plain} aria-label={`Time zone: ${zoneName(zone)}`}>
          {zone === "utc" ? "UTC" : zoneName(zone)}
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Show instants in</Menu.Label>
        <Menu.Item onClick={() => setZone("utc")}>UTC</Menu.Item>
        <Menu.Item onClick={() => setZone("browser")}>this browser's zone ({zoneName("browser")})</Menu.Item>
        {zone !== "utc" && zone !== "browser" && <Menu.Item onClick={() => setZone(zone)}>{zone}</Menu.Item>}
        <Menu.Label>A schedule's own zone is offered on its screen.</Menu.Label>
      </Menu.Dropdown>
    </Menu>
  );
}

function Theme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const next = { auto: "light", light: "dark", dark: "auto" } as const;
  const name = { auto: "as the system", light: "light", dark: "dark" }[colorScheme];
  return (
    <Tooltip label={`Theme: ${name}`}>
      <ActionIcon onClick={() => setColorScheme(next[colorScheme])} aria-label={`Theme: ${name}; change`}>
        {colorScheme === "dark" ? (
          <IconMoon size={16} />
        ) : colorScheme === "light" ? (
          <IconSun size={16} />
        ) : (
          <IconSunHigh size={16} />
        )}
      </ActionIcon>
    </Tooltip>
  );
}

function Who() {
  const { data } = useSession();
  const go = useGo();
  const queries = useQueryClient();
  if (!data) return null;
  const leave = async () => {
    const { send } = await import("@/api/client");
    await send("delete", "/api/v1/session").catch(() => undefined);
    queries.clear();
    go("/signin");
  };
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <button type="button" className={css.plain} aria-label={`Signed in as ${data.name}`}>
          {data.name}
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Signed in as {data.name}</Menu.Label>
        <Menu.Item onClick={() => ask("keys")}>Keyboard</Menu.Item>
        <Menu.Item onClick={() => void refreshAll(queries)}>Refresh all</Menu.Item>
        {data.kind === "user" && data.auth === "password" && (
          <Menu.Item onClick={() => ask("password")}>Change your password</Menu.Item>
        )}
        <Menu.Item onClick={() => void leave()}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

type Dialog = "palette" | "keys" | "password" | null;
let ask: (dialog: Dialog) => void = () => undefined;

function Dialogs() {
  const [open, setOpen] = useState<Dialog>(null);
  ask = setOpen;
  useShortcut("mod+k", () => setOpen("palette"), "go to, run, find");
  useShortcut("?", () => setOpen("keys"), "this list");
  const close = () => setOpen(null);
  return (
    <Suspense fallback={null}>
      {open === "palette" && <Palette onClose={close} />}
      {open === "keys" && <Keys onClose={close} />}
      {open === "password" && <Password onClose={close} />}
    </Suspense>
  );
}

/** Where no screen is. */
export function NotHere() {
  return (
    <Empty title="There is no such page">
      The address may be of another version, or what it shows is no longer kept. <To to="/">Today</To> shows
      what there is;{" "}
      <button type="button" className={css.inline} onClick={() => ask("palette")}>
        <IconDots size={14} /> find it by name
      </button>
      .
    </Empty>
  );
}

/** A screen that has failed, while the frame stands. */
export function Stumbled({ error }: { error: unknown }) {
  return (
    <div style={{ padding: 24 }}>
      <Trouble error={error} again={() => location.reload()} />
    </div>
  );
}
