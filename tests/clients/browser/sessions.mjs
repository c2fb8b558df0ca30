// A session is left and come back to; its history is emptied; its sandbox is removed and another one takes its place.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  const first = console.session();
  await console.say(script({ text: "In the first one." }));
  await console.shows("In the first one.");
  await console.settled();
  await console.button("New session").click();
  await console.until((id) => location.hash.includes("session=") && !location.hash.includes(id), first);
  await console.connected();
  check(!(await console.log.innerText()).includes("In the first one."), "the sessions mix");
  await console.page.getByRole("button", { name: first }).first().click();
  await console.shows("In the first one.");
  check(console.session() === first, "the address names another session");

  await console.page.getByRole("tab", { name: "Sandbox" }).click();
  await console.button("Remove the sandbox").click();
  await console.button("Remove it with its files?").click();
  await console.page.getByText("Removed. The next message starts a new one.").waitFor();
  await console.say(script(run("echo in-a-new-one"), { text: "Ran." }));
  await console.asked();
  await console.button("Approve once").click();
  await console.shows("Ran.");
  await console.settled();

  await console.page.getByRole("tab", { name: "Sessions" }).click();
  await console.button("Empty the history").click();
  await console.button("Empty it for good?").click();
  await console.log.locator(".notice").last().waitFor();
});
