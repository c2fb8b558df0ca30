import { defineConfig } from "vitest/config";
import { client } from "./build/client.ts";
import { preload } from "./build/preload.ts";
import { small } from "./build/small.ts";

export default defineConfig({
  build: {
    target: "es2022",
    // Nothing inline: the page's policy allows files of its own alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
  },
  plugins: [preload(["connection"]), client(), small(100_000)],
  // For `npm run dev` beside a server on its usual port.
  server: {
    proxy: { "/socket.io": { target: "http://127.0.0.1:3000", ws: true }, "/readyz": "http://127.0.0.1:3000" },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
