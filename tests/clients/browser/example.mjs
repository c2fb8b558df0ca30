// The example of a page, served as its instructions say: example.mjs URL PAGE LIBRARY PORT
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { check, play } from "./harness.mjs";

const [url, page, library, port] = process.argv.slice(2);
const files = {
  "/chat.html": ["text/html", readFileSync(page)],
  "/socket.io.min.js": ["text/javascript", readFileSync(library)],
};
const server = createServer((request, response) => {
  const [type, body] = files[request.url] ?? ["text/plain", ""];
  response.writeHead(request.url in files ? 200 : 404, { "content-type": type }).end(body);
});
await new Promise((resolve) => server.listen(Number(port), "127.0.0.1", resolve));

try {
  await play(
    async (context) => {
      const tab = await context.newPage();
      await tab.goto(`http://127.0.0.1:${server.address().port}/chat.html#${url}`);
      const log = tab.getByRole("log");
      const say = async (text) => {
        await tab.getByRole("textbox", { name: "Message" }).fill(text);
        await tab.getByRole("button", { name: "Send" }).click();
      };
      const shows = (text) =>
        tab.waitForFunction((wanted) => document.querySelector("#log").textContent.includes(wanted), text);
      await say("run `echo made-by-the-page`");
      await tab.getByRole("button", { name: "Allow" }).click();
      await shows("made-by-the-page\n");
      await say("run `echo <b>bold</b>`");
      await tab.getByRole("button", { name: "Deny" }).click();
      await shows("execute_command: ");
      check((await log.getByRole("button").count()) === 0, "a card is left with its buttons");
      check((await log.locator("b").count()) === 0, "what was said became markup");
    },
    { excused: /favicon|404/ },
  );
} finally {
  server.close();
}
