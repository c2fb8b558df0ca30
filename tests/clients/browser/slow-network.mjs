// A slow and distant network is enough for the whole loop.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const page = await context.newPage();
  const protocol = await context.newCDPSession(page);
  await protocol.send("Network.enable");
  const slow = { offline: false, latency: 400, downloadThroughput: 50_000, uploadThroughput: 20_000 };
  await protocol.send("Network.emulateNetworkConditions", slow);
  await page.goto(process.argv[2]);
  const console = new Console(page);
  // What is said before the connection is there is not lost.
  await console.say(script(run("echo from-afar"), { text: "It came.", quote: true }));
  await console.asked();
  await console.button("Approve once").click();
  await console.shows("It came.");
  await console.settled();
  check((await console.said.count()) === 1, "the message is there twice");
  check((await console.answers.last().innerText()).includes("from-afar"), "the output did not come");
});
