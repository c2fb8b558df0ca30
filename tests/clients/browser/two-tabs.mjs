// Two tabs decide at once: one wins, and both show the same.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const one = await Console.open(context, process.argv[2]);
  const other = await Console.open(context, one.page.url());
  check(one.session() === other.session(), "the tabs do not show one session");
  for (let round = 1; round <= 3; round++) {
    await one.say(script(run(`echo round-${round}`), { text: `Round ${round} is over.` }));
    await Promise.all([one.asked(), other.asked()]);
    await one.armed();
    await other.button("Deny").click();
    await other.page.getByLabel(/Why not/).fill("the other tab");
    // At once, without looking whether the other one was quicker: a button that has gone by then does nothing.
    const buttons = [one.button("Approve once"), other.button("Deny the call")];
    const handles = await Promise.all(buttons.map((button) => button.elementHandle()));
    if (round % 2 === 0) handles.reverse();
    await Promise.all(handles.map((handle) => handle.evaluate((button) => button.click())));
    await Promise.all([one, other].map((tab) => tab.shows(`Round ${round} is over.`)));
    await Promise.all([one, other].map((tab) => tab.settled()));
    const [mine, theirs] = await Promise.all([one, other].map((tab) => tab.calls.last().innerText()));
    check(mine === theirs, `the tabs differ:\n${mine}\n---\n${theirs}`);
    const [approved, denied] = [mine.includes("Approved once"), mine.includes("Denied")];
    check(approved !== denied, `it is not one decision: ${mine}`);
    check(mine.includes("done") === approved, `what was decided is not what happened: ${mine}`);
    check((await other.cards.count()) + (await one.cards.count()) === 0, "a card is left");
  }
});
