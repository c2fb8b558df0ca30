// A denial and its reason, which the model is told.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.say(script(run("echo never > mark"), { text: "It said:", quote: true }));
  await console.asked();
  await console.button("Deny").click();
  await console.page.getByLabel(/Why not/).fill("not on a Sunday");
  await console.button("Deny the call").click();
  await console.shows("It said:");
  await console.settled();
  check(
    (await console.calls.innerText()).includes("Denied by local: not on a Sunday."),
    await console.calls.innerText(),
  );
  check((await console.answers.last().innerText()).includes("not on a Sunday"), "the model did not hear why");
  check((await console.calls.getAttribute("data-phase")) === "refused", "the call is not shown as refused");
});
