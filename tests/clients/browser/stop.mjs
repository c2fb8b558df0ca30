// A turn that runs is stopped, whatever it is at, and the next one runs.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.say(script({ text: "begun and ", error: "hang" }));
  await console.shows("begun and");
  await console.button("Stop").click();
  await console.shows("Stopped.");
  await console.settled();
  await console.say(script(run("echo never")));
  await console.asked();
  await console.button("Stop").click();
  await console.settled();
  check((await console.cards.count()) === 0, "a card is left of a turn that was stopped");
  await console.say(script({ text: "And on." }));
  await console.shows("And on.");
});
