// Sessions are listed by the server, left and come back to, renamed and deleted; a history is emptied; a sandbox is removed and
// another one takes its place.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  const first = console.session();
  const list = console.page.getByRole("tabpanel").locator(".list li");
  await console.say(script({ text: "In the first one." }));
  await console.shows("In the first one.");
  await console.settled();

  await list.first().getByRole("button", { name: "Rename" }).click();
  await console.page.getByLabel("Title of the session").fill("The first of them");
  await console.page.keyboard.press("Enter");
  await console.page.getByRole("button", { name: /^The first of them/ }).waitFor();

  await console.button("New session").click();
  await console.until((id) => location.hash.includes("session=") && !location.hash.includes(id), first);
  await console.connected();
  check(!(await console.log.innerText()).includes("In the first one."), "the sessions mix");
  const second = console.session();
  await console.say(script({ text: "In the second one." }));
  await console.shows("In the second one.");
  await console.settled();
  await console.page.getByRole("button", { name: /^The first of them/ }).click();
  await console.shows("In the first one.");
  check(console.session() === first, "the address names another session");

  // Another browser sees the same list: it is the server's.
  const other = await Console.open(await context.browser().newContext(), process.argv[2]);
  await other.page.getByRole("button", { name: /^The first of them/ }).waitFor();
  const third = other.session();

  // Nothing is deleted by one click. Whoever looks at what is deleted goes to a new session.
  const mine = list.filter({ has: console.page.locator(".title", { hasText: "The first of them" }) });
  await mine.getByRole("button", { name: "Delete" }).click();
  check(console.session() === first, "it is gone without a second click");
  await mine.getByRole("button", { name: "Delete for good?" }).click();
  await console.until((id) => location.hash.includes("session=") && !location.hash.includes(id), first);
  await console.connected();
  check(![first, second, third].includes(console.session()), "it is no new session");
  await console.until(
    () => ![...document.querySelectorAll(".list .title")].some((title) => title.textContent.includes("The first")),
  );
  check((await console.log.innerText()).includes("Say something"), "the new session is not empty");

  await console.panel("Sandbox");
  await console.button("Remove the sandbox").click();
  await console.button("Remove it with its files?").click();
  await console.page.getByText("Removed. The next message starts a new one.").waitFor();
  await console.say(script(run("echo in-a-new-one"), { text: "Ran." }));
  await console.asked();
  await console.button("Approve once").click();
  await console.shows("Ran.");
  await console.settled();

  await console.panel("Sessions");
  await console.button("Empty the history").click();
  await console.button("Empty it for good?").click();
  await console.log.locator(".notice").last().waitFor();
});
