// From nothing to a tool's output: a message, a card, an approval, what the tool gave back, an answer, what it cost.
import { Console, check, play } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.say("run `echo made-by-a-tool`");
  await console.asked();
  const card = console.cards.first();
  check((await card.innerText()).includes("echo made-by-a-tool"), "the card does not show the arguments");
  check((await console.page.title()) === "(1) Lockkeeper", "the tab does not say that somebody is asked");
  check((await console.calls.locator(".badge").innerText()) === "waits for you", "the call does not wait");
  await console.button("Approve once").click();
  await console.calls.locator("pre", { hasText: "made-by-a-tool" }).last().waitFor();
  await console.settled();
  check((await console.calls.innerText()).includes("Approved once"), "it is not shown who decided what");
  check((await console.answers.last().innerText()).includes("made-by-a-tool"), "the answer does not quote the output");
  check((await console.cards.count()) === 0, "the card is still there");
  await console.page.getByRole("tab", { name: "Usage" }).click();
  await console.page.getByRole("row", { name: /^1 / }).waitFor();
  await console.page.getByRole("row", { name: /^Tool calls \d/ }).waitFor();
  await console.page.getByRole("tab", { name: "Tools" }).click();
  await console.page.getByText("execute_command").first().waitFor();
  await console.page.getByRole("tab", { name: "Status" }).click();
  await console.page.getByText("The demo plays scripted replies").waitFor();
  await console.page.getByRole("tab", { name: "Frames" }).click();
  await console.page.getByText("turn:completed").waitFor();
});
