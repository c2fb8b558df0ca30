// Arguments that a human edits run instead; those that do not fit are refused, and the card stays.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.say(script(run("echo as-the-model-said")));
  await console.asked();
  await console.button("Edit arguments").click();
  const field = console.page.getByLabel(/Arguments that shall run/);
  const approve = console.button("Approve with these");
  await field.fill('{ "command": ');
  check(await approve.isDisabled(), "half an object can be sent");
  await field.fill('{ "command": 7 }');
  check(await approve.isDisabled(), "what does not fit the schema can be sent");
  await console.page.getByText("`command` must be a string.").waitFor();
  // What only the server knows is wrong.
  await field.fill('{ "command": "echo x", "timeout_ms": 0 }');
  await approve.click();
  await console.page.getByRole("alert").waitFor();
  check((await console.cards.count()) === 1, "the card is gone though nothing was decided");
  await field.fill('{ "command": "echo as-a-human-said" }');
  await approve.click();
  await console.calls.locator('pre[aria-label="Output"]', { hasText: "as-a-human-said" }).waitFor();
  await console.settled();
  const shown = await console.calls.innerText();
  check(shown.includes("with edited arguments"), `it is not said that they were edited: ${shown}`);
  const outputs = await console.calls.locator('pre[aria-label="Output"]').innerText();
  check(!outputs.includes("as-the-model-said"), "the model's arguments ran");
});
