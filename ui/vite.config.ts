import path from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const service = process.env.PARTITA_URL ?? "http://127.0.0.1:8099";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@": path.resolve(import.meta.dirname, "src") } },
  build: {
    outDir: "../src/partita/server/ui",
    emptyOutDir: true,
    // Data addresses for scripts or fonts would break the content security policy.
    assetsInlineLimit: 0,
    assetsDir: "static",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rollupOptions: { output: { assetFileNames: "static/[name]-[hash][extname]" } },
  },
  worker: { format: "es" },
  server: {
    host: "127.0.0.1",
    // The service checks Host and Origin; both are its own here.
    proxy: Object.fromEntries(
      ["/api", "/healthz", "/metrics"].map((prefix) => [
        prefix,
        {
          target: service,
          changeOrigin: true,
          configure: (proxy: { on: (name: string, listener: (request: { setHeader: (name: string, value: string) => void }) => void) => void }) =>
            proxy.on("proxyReq", (request) => request.setHeader("origin", service)),
        },
      ]),
    ),
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
