// Draws the pictures of the README, from a server with the demo: screenshots.mjs URL FOLDER
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Console, check, play } from "./harness.mjs";

const MOST_BYTES = 150_000;
const WIDE = { width: 1120, height: 720 };
const PHONE = { width: 390, height: 780 };
const [url, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

/** Draws what the page shows now, in both themes. */
async function draw(console, name) {
  for (const colorScheme of ["light", "dark"]) {
    await console.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const path = join(folder, `${name}-${colorScheme}.png`);
    await console.page.screenshot({ path });
    const { size } = statSync(path);
    check(size < MOST_BYTES, `${path} has ${size} bytes`);
    process.stdout.write(`${path}: ${size} bytes\n`);
  }
}

await play(
  async (context) => {
    const console = await Console.open(context, url);
    await console.say("build a hello project");
    for (let call = 1; call <= 3; call++) {
      await console.asked();
      // What the second call runs may run again in this session.
      await console.button(call === 2 ? "Approve for this session" : "Approve once").click();
      const narrow = console.button("Approve these").first();
      if (call === 2 && (await narrow.isVisible())) await narrow.click();
      await console.until((count) => document.querySelectorAll('.call[data-phase="succeeded"]').length === count, call);
    }
    await console.settled();
    await console.say('write hello/hello.sh: #!/bin/sh\nname=${1:-everybody}\necho "Hello, $name!"\n');
    await console.asked();
    await console.armed();
    await console.cards.locator(".difference summary").click();
    await console.log.evaluate((log) => log.scrollTo(0, log.scrollHeight));
    await console.panel("Usage");
    await draw(console, "console");

    await console.panel("Tools");
    await console.page.locator(".tool summary", { hasText: "execute_command" }).click();
    await draw(console, "tools");

    await console.panel("Sandbox");
    await console.page.getByRole("button", { name: "hello/" }).click();
    await console.page.getByRole("button", { name: /^hello.sh/ }).click();
    await console.page.locator(".preview pre").waitFor();
    await draw(console, "files");

    await console.page.setViewportSize(PHONE);
    await console.button("Panels").click();
    await draw(console, "phone");
  },
  { context: { viewport: WIDE } },
);
