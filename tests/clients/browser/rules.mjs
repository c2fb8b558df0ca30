// Approved for always: the rule is shown before it is stored, such calls ask no more, in other sessions too, until it is revoked.
import { Console, check, play, script } from "./harness.mjs";

// Approvals for always are offered for what changes nothing.
const list = { calls: [{ name: "list_files", args: { path: "." } }] };

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.say(script(list, list, { text: "Both ran." }));
  await console.asked();
  await console.armed();
  await console.button("Approve always").click();
  const rule = await console.page.getByRole("group", { name: "The rule that would be stored" }).innerText();
  check(rule.includes("list_files") && rule.includes("allow"), `the rule is not shown: ${rule}`);
  check((await console.cards.count()) === 1, "it was approved before the rule was agreed to");
  await console.button("Back").click();
  await console.armed();
  await console.button("Approve always").click();
  await console.button("Store the rule and approve").click();
  await console.shows("Both ran.");
  await console.settled();
  check((await console.page.locator('.call[data-phase="succeeded"]').count()) === 2, "they did not both run");
  check((await console.calls.first().innerText()).includes("Approved always"), "it is not shown how it was approved");

  await console.panel("Tools");
  const rules = console.page.getByRole("region", { name: "Rules" });
  await rules.getByText(/list_files/).waitFor();
  await console.panel("Sessions");
  await console.button("New session").click();
  await console.page.getByText("Say something").waitFor();
  await console.say(script(list, { text: "Unasked." }));
  await console.shows("Unasked.");
  await console.settled();

  await console.panel("Tools");
  await rules.getByRole("button", { name: "Revoke" }).click();
  await rules.getByRole("button", { name: "Revoke it?" }).click();
  await rules.getByText("None. Every call without another rule asks you.").waitFor();
  await console.say(script(list, { text: "Asked again." }));
  await console.asked();
  await console.armed();
  await console.button("Approve once").click();
  await console.shows("Asked again.");
});
