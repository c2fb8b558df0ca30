// A reload while a call waits: the card is there again, with all that was said before, and works.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.say(script(run("echo one", "First this."), run("echo two"), { text: "All done." }));
  await console.asked();
  const session = console.session();
  await console.page.reload();
  await console.connected();
  await console.asked();
  check(console.session() === session, "the reload made another session");
  check((await console.cards.innerText()).includes("echo one"), "the card is another one");
  check((await console.answers.first().innerText()).includes("First this."), "what was said before is gone");
  await console.button("Approve once").click();
  await console.until(() => document.querySelector(".approval")?.textContent.includes("echo two"));
  await console.page.reload();
  await console.asked();
  await console.button("Approve once").click();
  await console.shows("All done.");
  await console.settled();
  check((await console.said.count()) === 1 && (await console.calls.count()) === 2, "something is there twice");
  const before = await console.log.innerText();
  await console.page.reload();
  await console.shows("All done.");
  check((await console.log.innerText()) === before, "after a reload the conversation is another one");
});
