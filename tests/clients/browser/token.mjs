// A token leaves the address at once, stays with the tab, and a wrong one is asked for again: token.mjs URL TOKEN
import { Console, check, play } from "./harness.mjs";

const [url, token] = process.argv.slice(2);

await play(async (context) => {
  const console = await Console.open(context, `${url}/#token=${token}`);
  check(!console.page.url().includes(token), `it is in the address: ${console.page.url()}`);
  const history = await console.page.evaluate(() => ({ entries: window.history.length, local: { ...localStorage } }));
  check(!JSON.stringify(history).includes(token), "it is kept beyond the tab");
  await console.page.reload();
  await console.connected();
  await console.page.goBack().catch(() => undefined);
  check(!console.page.url().includes(token), "it is in the tab's history");

  const query = await Console.open(context, `${url}/?token=${token}`);
  check(!query.page.url().includes("token"), `it is in the address: ${query.page.url()}`);

  const stranger = new Console(await context.newPage());
  await stranger.page.goto(`${url}/#token=wrong`);
  await stranger.page.locator(".banner", { hasText: "The token is not known." }).waitFor();
  await stranger.page.getByLabel("Token").fill(token);
  await stranger.button("Connect").click();
  await stranger.connected();
  await stranger.page.getByRole("tab", { name: "Frames" }).click();
  await stranger.page.getByText("system:ready").click();
  check(!(await stranger.page.content()).includes(token), "the page shows the token");
});
