// The page's first script loads others by itself. What it will surely want is asked for along with it, which on a distant
// network saves the way there and back.
import type { Plugin } from "vite";

/** Adds a `modulepreload` for each chunk by one of these names, and what those import. */
export function preload(names: readonly string[]): Plugin {
  return {
    name: "preload",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler(_, { bundle }) {
        const chunks = Object.values(bundle ?? {}).filter((each) => each.type === "chunk");
        return names.map((name) => {
          const chunk = chunks.find((each) => each.name === name);
          if (chunk === undefined) throw new Error(`there is no chunk called ${name} to preload`);
          const attrs = { rel: "modulepreload", crossorigin: true, href: `/${chunk.fileName}` };
          return { tag: "link", injectTo: "head" as const, attrs };
        });
      },
    },
  };
}
