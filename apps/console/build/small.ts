// What the build has to end with: everything compressed as well, and all of the console together under the limit.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { CLIENT_FOLDER } from "./client.ts";

/** Writes `FILE.gz` beside each file that is smaller so, and fails a build that comes to more than `limit` bytes. */
export function small(limit: number): Plugin {
  let folder = "dist";
  return {
    name: "small",
    apply: "build",
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle() {
      const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      let total = 0;
      for (const entry of files) {
        const path = join(entry.parentPath, entry.name);
        const whole = readFileSync(path);
        const packed = gzipSync(whole, { level: 9 });
        if (packed.length < whole.length) writeFileSync(`${path}.gz`, packed);
        // The client is for other pages.
        if (!entry.parentPath.endsWith(CLIENT_FOLDER)) total += Math.min(packed.length, whole.length);
      }
      const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
      if (total > limit) this.error(`the console is ${kilobytes(total)} compressed; ${kilobytes(limit)} are allowed`);
      this.info(`${kilobytes(total)} compressed in all, of ${kilobytes(limit)}`);
    },
  };
}
