// The JavaScript client of Socket.IO, which the server hands to pages that load it as `/socket.io/socket.io.js`: the same
// version as the console's own.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

/** The folder of the build that the client is in. The console loads nothing of it. */
export const CLIENT_FOLDER = "socket.io";

/** What is served, and which file of the package it is. */
const FILES: Readonly<Record<string, string>> = {
  "socket.io.js": "socket.io.min.js",
  "socket.io.min.js": "socket.io.min.js",
  "socket.io.esm.min.js": "socket.io.esm.min.js",
};

/** Adds the client to the build. */
export function client(): Plugin {
  return {
    name: "client",
    apply: "build",
    generateBundle() {
      const folder = join(dirname(createRequire(import.meta.url).resolve("socket.io-client/package.json")), "dist");
      for (const [name, file] of Object.entries(FILES)) {
        // The source map stays away, and so does the line that asks for it.
        const source = readFileSync(join(folder, file), "utf8").replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n");
        this.emitFile({ type: "asset", fileName: `${CLIENT_FOLDER}/${name}`, source });
      }
    },
  };
}
