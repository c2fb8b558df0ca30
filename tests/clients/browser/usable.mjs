// How soon the console can be used: from the navigation to a field that can be written in, and to a connection. With several
// addresses, as of two builds that are compared, they are loaded in turns: usable.mjs URL.. [--rounds N]
import { check, play } from "./harness.mjs";

const words = process.argv.slice(2);
const at = words.indexOf("--rounds");
const rounds = at < 0 ? 5 : Number(words.splice(at, 2)[1]);

await play(async (context) => {
  await context.addInitScript(() => {
    const look = () => {
      window.usable ??= document.querySelector("#message") ? performance.now() : undefined;
      window.linked ??= document.querySelector('.link[data-link="ready"]') ? performance.now() : undefined;
      if (window.usable !== undefined && window.linked !== undefined) seen.disconnect();
    };
    const seen = new MutationObserver(look);
    seen.observe(document, {
      subtree: true,
      childList: true,
      attributes: true,
    });
  });
  const figures = words.map((url) => ({ url, at: url, loads: [] }));
  for (let round = 0; round <= rounds; round++) {
    for (const figure of figures) {
      const page = await context.newPage();
      await page.goto(figure.at);
      await page.waitForFunction(() => window.linked !== undefined);
      // The first load starts a sandbox and is not counted; the others come back to its session.
      if (round > 0) figure.loads.push(await page.evaluate(() => [window.usable, window.linked]));
      figure.at = page.url();
      await page.close();
    }
  }
  for (const { url, loads } of figures) {
    const median = (place) => loads.map((each) => each[place]).sort((a, b) => a - b)[Math.floor(rounds / 2)];
    const [usable, linked] = [median(0), median(1)].map(Math.round);
    console.log(`${url} usable after ${usable} ms, connected after ${linked} ms (medians of ${rounds} loads)`);
    // 300 ms are meant; a machine that does much else at once gets ten times that.
    check(usable < 3_000, `it can be used only after ${usable} ms`);
  }
});
