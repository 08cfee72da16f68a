/** Which screen stands at which address. Every screen is loaded when it is first needed. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { parseSearch, stringifySearch } from "./frame/address";
import { NotHere, Shell, Stumbled } from "./frame/Shell";

const root = createRootRoute({ component: Shell, notFoundComponent: NotHere, errorComponent: Stumbled });

const SCREENS = {
  "/": () => import("./screens/today/Today"),
  "/runs": () => import("./screens/runs/Runs"),
  "/runs/$run": () => import("./screens/run/Run"),
  "/runs/$run/steps/$step": () => import("./screens/step/StepPage"),
  "/pipelines": () => import("./screens/pipelines/Pipelines"),
  "/pipelines/$pipeline": () => import("./screens/pipelines/Pipeline"),
  "/assets": () => import("./screens/assets/Assets"),
  "/assets/$asset": () => import("./screens/assets/Asset"),
  "/lineage": () => import("./screens/assets/Lineage"),
  "/schedules": () => import("./screens/schedules/Schedules"),
  "/schedules/$namespace/$schedule": () => import("./screens/schedules/Schedule"),
  "/sensors/$namespace/$sensor": () => import("./screens/sensors/Sensor"),
  "/backfills": () => import("./screens/backfills/Backfills"),
  "/backfills/$backfill": () => import("./screens/backfills/Backfill"),
  "/approvals": () => import("./screens/approvals/Approvals"),
  "/approvals/$run/$step": () => import("./screens/approvals/Approval"),
  "/system": () => import("./screens/system/System"),
  "/signin": () => import("./screens/signin/SignIn"),
};

const children = Object.entries(SCREENS).map(([path, load]) =>
  createRoute({
    getParentRoute: () => root,
    path,
    component: lazyRouteComponent(load),
    errorComponent: Stumbled,
  }),
);

let page = "";

/** Whether another page is shown than before: what is chosen on a page (a tab, a line of a log) moves nothing else on it. */
function isOtherPage(path: string): boolean {
  const other = path !== page;
  page = path;
  return other;
}

export const router = createRouter({
  routeTree: root.addChildren(children),
  parseSearch,
  stringifySearch,
  defaultPendingMs: 300,
  scrollRestoration: ({ location }) => isOtherPage(location.pathname),
  scrollToTopSelectors: ["#content"],
});

/** Fetch the other screens' code while nothing else is to be done, so that going there takes no network. */
export function fetchTheRest(): void {
  const loads: (() => Promise<unknown>)[] = [() => import("./frame/Palette"), ...Object.values(SCREENS)];
  const next = () => {
    const load = loads.shift();
    if (load)
      void load().then(
        () => whenIdle(next),
        () => undefined,
      );
  };
  whenIdle(next);
}

function whenIdle(what: () => void) {
  if ("requestIdleCallback" in window) requestIdleCallback(what, { timeout: 4000 });
  else setTimeout(what, 200);
}
