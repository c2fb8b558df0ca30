// Approved for the session as far as a human chose, a command asks no more, and the list of tools says so.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.say(script(run("echo one"), run("echo one"), { text: "Both ran." }));
  await console.asked();
  await console.button("Approve for this session").click();
  await console.page.getByText("Calls with exactly these arguments").waitFor();
  await console.button("Approve these").first().click();
  await console.shows("Both ran.");
  await console.settled();
  check((await console.calls.count()) === 2, "there were not two calls");
  check((await console.page.locator('.call[data-phase="succeeded"]').count()) === 2, "they did not both run");
  await console.page.getByRole("tab", { name: "Tools" }).click();
  await console.page.getByRole("tabpanel").getByText("approved for this session").waitFor();
});
