// What a card shows, and what it wants before it lets a call run.
import { Console, check, play, run, script } from "./harness.mjs";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  // When the buttons came, and when they could first be used.
  await console.page.evaluate(() => {
    window.cards = [];
    new MutationObserver(() => {
      const button = document.querySelector(".approval .primary");
      if (button === null) return;
      const call = button.closest(".approval").dataset.call;
      const known = window.cards.find((card) => card.call === call);
      if (known === undefined)
        window.cards.push({
          call,
          came: performance.now(),
          wasOff: button.disabled,
        });
      else if (!button.disabled) known.armed ??= performance.now();
    }).observe(document.body, {
      subtree: true,
      childList: true,
      attributes: true,
    });
  });
  const long = `true ${"x".repeat(5_000)}-the-end`;
  await console.say(
    script(run("echo one\necho two"), run("echo one\necho 2"), run(long), {
      text: "All decided.",
    }),
  );

  await console.asked();
  const first = await console.cards.innerText();
  check(/May execute_command of workspace run\?/.test(first), `server and tool are not named: ${first}`);
  check(first.includes(`Arguments: ${JSON.stringify({ command: "echo one\necho two" }).length} bytes.`), first);
  check(/refused in \d:\d\d/.test(first), `there is no countdown: ${first}`);
  check(/because .*no rule/.test(first), `it is not said why it asks: ${first}`);
  check(!first.includes("Unlike the last call"), "there was no call before");
  await console.button("Approve once").click();

  await console.until(() => document.querySelector(".approval .difference") !== null);
  await console.cards.locator(".difference summary").click();
  const lines = (await console.cards.locator(".difference pre").innerText()).split("\n");
  check(lines.join("|") === "  echo one|- echo two|+ echo 2", `the difference is ${lines.join("|")}`);
  await console.button("Approve once").click();

  const showAll = console.page.getByRole("button", {
    name: /Show all 5,\d+ bytes/,
  });
  await showAll.waitFor();
  await console.page.waitForFunction(() => performance.now() > window.cards.at(-1).came + 1_000);
  check(await console.button("Approve once").isDisabled(), "long arguments can be approved unseen");
  check(await console.button("Approve for this session").isDisabled(), "long arguments can be approved unseen");
  check(await console.button("Deny").isEnabled(), "long arguments cannot be denied");
  check(!(await console.cards.innerText()).includes("-the-end"), "the end is shown before it is asked for");
  await showAll.click();
  check((await console.cards.innerText()).includes("-the-end"), "the end is not shown");
  await console.button("Approve once").click();
  await console.shows("All decided.");
  await console.settled();

  const cards = await console.page.evaluate(() => window.cards);
  check(
    cards.length === 3 && cards.every((card) => card.wasOff),
    `a card could be approved at once: ${JSON.stringify(cards)}`,
  );
  const soonest = Math.min(...cards.map((card) => card.armed - card.came));
  check(soonest >= 500, `a card could be approved after ${soonest} ms`);
});
