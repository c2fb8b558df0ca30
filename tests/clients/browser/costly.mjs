// An answer that is costly to parse does not keep anybody from denying what it asks for.
import { Console, check, play, run, script } from "./harness.mjs";

/** As long as a message to the demo may be, with room for the rest of the script. */
const LENGTH = 24_000;
/** No single task of the page may take longer, in milliseconds. Parsing one of these once took 13 s before. */
const LONGEST = 5_000;

const attacks = ["*a_", "~~a~", ">", "[a](", "|a", "- "].map((piece) =>
  piece.repeat(LENGTH / piece.length),
);

await play(async (context) => {
  await context.addInitScript(() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const task of list.getEntries())
        window.longest = Math.max(window.longest, task.duration);
    }).observe({ type: "longtask" });
  });
  const console = await Console.open(context, process.argv[2]);
  for (const attack of attacks) {
    await console.say(
      script(
        { ...run("echo never"), text: attack, reasoning: "*a_" },
        { text: "And on." },
      ),
    );
    await console.asked();
    await console.button("Deny").click();
    await console.button("Deny the call").click();
    await console.settled();
  }
  const phases = await console.calls.evaluateAll((calls) =>
    calls.map((call) => call.dataset.phase),
  );
  check(
    phases.length === attacks.length &&
      phases.every((phase) => phase === "refused"),
    `the calls are ${phases}`,
  );
  const longest = await console.page.evaluate(() => window.longest);
  check(longest < LONGEST, `the page did nothing else for ${longest} ms`);
});
