// Draws the pictures of the README, from a server with the demo: screenshots.mjs URL FOLDER
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Console, check, play } from "./harness.mjs";

const MOST_BYTES = 150_000;
const [url, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

await play(
  async (context) => {
    const console = await Console.open(context, url);
    await console.say("run `uname -s`");
    await console.asked();
    await console.button("Approve once").click();
    await console.settled();
    await console.say("write notes.txt: Nothing passes here unasked.");
    await console.asked();
    await console.page.getByRole("tab", { name: "Tools" }).click();
    for (const colorScheme of ["light", "dark"]) {
      await console.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const path = join(folder, `console-${colorScheme}.png`);
      await console.page.screenshot({ path });
      const { size } = statSync(path);
      check(size < MOST_BYTES, `${path} has ${size} bytes`);
      process.stdout.write(`${path}: ${size} bytes\n`);
    }
  },
  { context: { viewport: { width: 1120, height: 700 } } },
);
