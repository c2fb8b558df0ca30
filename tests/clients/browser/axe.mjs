// axe-core finds nothing: light and dark, wide and narrow, with every panel and everything that a conversation can hold.
import axe from "axe-core";
import { Console, check, play, run, script } from "./harness.mjs";

const markdown = [
  "# A heading",
  "Some **words**, `code`, and [a link](https://example.com/).",
  "- one\n- [x] two",
  "> quoted",
  "```sh\necho code\n```",
  "| a | b |\n|---|---|\n| 1 | 2 |",
].join("\n\n");

const long = `true ${"x".repeat(5_000)}; echo a > seen.txt`;
const list = { calls: [{ name: "list_files", args: { path: "." } }] };

async function examine(console, what) {
  const found = await console.page.evaluate(async (source) => {
    // By the debugger's hand, which the page's policy does not bind.
    (0, eval)(source);
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ; ")}`);
  }, axe.source);
  check(found.length === 0, `${what}:\n${found.join("\n")}`);
}

async function inAllLooks(console, what) {
  for (const colorScheme of ["light", "dark"]) {
    await console.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of [1280, 360]) {
      await console.page.setViewportSize({ width, height: 800 });
      await examine(console, `${what}, ${colorScheme}, ${width} wide`);
      const overflow = await console.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(overflow <= 0, `${what}, ${width} wide: ${overflow} pixels lie outside`);
    }
  }
  await console.page.setViewportSize({ width: 1280, height: 800 });
}

await play(
  async (context) => {
    const console = await Console.open(context, process.argv[2]);
    await inAllLooks(console, "empty");
    await console.say(
      script(
        { ...run("echo out", markdown), reasoning: "Hm." },
        run("cat nothing-there"),
        run("echo denied"),
        run(long),
        list,
      ),
    );
    await console.asked();
    await inAllLooks(console, "a card");
    await console.button("Edit arguments").click();
    await inAllLooks(console, "an edit");
    await console.button("Approve with these").click();
    await console.until(() => document.querySelector(".approval")?.textContent.includes("nothing-there"));
    await console.button("Approve once").click();
    await console.until(() => document.querySelector(".approval")?.textContent.includes("denied"));
    await console.button("Deny").click();
    await inAllLooks(console, "a denial");
    await console.button("Deny the call").click();
    await console.page.getByRole("button", { name: /^Show all/ }).waitFor();
    await inAllLooks(console, "long arguments");
    await console.page.getByRole("button", { name: /^Show all/ }).click();
    await console.cards.locator(".difference summary").click();
    await inAllLooks(console, "a difference");
    await console.button("Approve once").click();
    await console.button("Approve always").click();
    await inAllLooks(console, "a rule that would be stored");
    await console.button("Store the rule and approve").click();
    await console.settled();
    for (const tab of ["Sessions", "Tools", "Sandbox", "Usage", "Status", "Frames"]) {
      await console.page.getByRole("tab", { name: tab }).click();
      for (const details of await console.page.locator(".panel summary").all()) await details.click();
      if (tab === "Sandbox") await console.page.getByRole("button", { name: /^seen.txt/ }).click();
      await inAllLooks(console, tab);
    }
    await console.panel("Sessions");
    await console.page
      .getByRole("button", { name: /^Delete/ })
      .first()
      .click();
    await inAllLooks(console, "a session to delete");
    await console.page
      .getByRole("button", { name: /^Rename/ })
      .first()
      .click();
    await inAllLooks(console, "a session to rename");
  },
  { context: { bypassCSP: true } },
);
