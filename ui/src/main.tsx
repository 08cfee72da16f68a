/** The page: signs in by the link behind #, then shows the frame. */
import "@mantine/core/styles.css";
import "./style/tokens.css";
import "./style/base.css";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";
import { Problem } from "./api/problem";
import { redeemLink } from "./frame/link";
import { router } from "./routes";
import { theme } from "./theme";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      gcTime: 10 * 60_000,
      refetchOnWindowFocus: true,
      // What was refused stays refused; a server that restarts comes back within seconds.
      retry: (count, error) =>
        count < 3 && !(error instanceof Problem && error.status >= 400 && error.status < 500),
      retryDelay: (count) => Math.min(4000, 300 * 2 ** count),
    },
  },
});

// A server that was brought up to date meanwhile has other files: the page is fetched anew, once.
window.addEventListener("vite:preloadError", (event) => {
  const last = Number(sessionStorage.getItem("partita.reloaded") ?? 0);
  if (Date.now() - last < 30_000) return;
  event.preventDefault();
  sessionStorage.setItem("partita.reloaded", String(Date.now()));
  location.reload();
});

const problem = await redeemLink();
createRoot(document.getElementById("root")!).render(
  <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} context={{}} />
    </QueryClientProvider>
  </MantineProvider>,
);
if (problem) router.history.replace(`/signin?problem=${encodeURIComponent(problem)}`);
