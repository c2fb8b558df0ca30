// The server is killed in the middle of an answer and started again on the same store: the answer goes on, what was written
// meanwhile is sent once, and nothing is there twice. The case that runs this does what is asked for on stdout.
import { createInterface } from "node:readline";
import { Console, check, play, script } from "./harness.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
  process.stdout.write(`ask: ${what}\n`);
  const { value } = await lines.next();
  check(value === "done", `${what}: ${value}`);
}

const words = Array.from({ length: 200 }, (_, n) => `word-${n}`).join(" ");

await play(
  async (context) => {
    const console = await Console.open(context, process.argv[2]);
    await console.say(script({ text: words, delay_ms: 25 }));
    await console.shows("word-10 ");
    await ask("kill");
    await console.page.locator('.link[data-link="lost"]').waitFor();
    await console.page.getByText("Reconnecting. Nothing is lost").waitFor();
    await console.say(script({ text: "The second answer." }));
    await console.shows("waits for a connection");
    await ask("start");
    await console.connected();
    await console.shows("The second answer.");
    await console.settled();
    const answers = await console.answers.locator(".markdown").allInnerTexts();
    check(answers.length === 2, `${answers.length} answers: ${answers}`);
    check(answers[0].trim() === words, `the answer is not what was said: ${answers[0]}`);
    check(answers[1].trim() === "The second answer.", answers[1]);
    check((await console.said.count()) === 2, "a message is there twice, or not at all");
    const before = await console.log.innerText();
    await console.page.reload();
    await console.shows("The second answer.");
    await console.settled();
    check(
      (await console.answers.locator(".markdown").allInnerTexts()).join() === answers.join(),
      "a reload tells another story",
    );
    check((await console.said.count()) === 2, `before:\n${before}`);
  },
  // While the server is away, the browser says that nobody answers.
  { excused: /ERR_CONNECTION|ERR_EMPTY_RESPONSE|WebSocket connection to|Failed to load resource/ },
);
process.exit(0);
