// The keyboard alone is enough, on a screen as narrow as a phone's. Nothing takes the focus by itself.
import { Console, check, play, run, script } from "./harness.mjs";

await play(
  async (context) => {
    const console = await Console.open(context, process.argv[2]);
    const { keyboard } = console.page;
    const focused = () =>
      console.page.evaluate(() => document.activeElement?.textContent || document.activeElement?.id);
    const tabTo = async (name) => {
      for (let presses = 0; presses < 40; presses++) {
        if ((await focused()) === name) return;
        await keyboard.press("Tab");
      }
      check(false, `${name} cannot be reached; the focus is on ${await focused()}`);
    };
    await tabTo("message");
    await keyboard.type(
      script(run("echo by-hand"), run("echo again"), {
        text: "Typed and done.",
      }),
    );
    await keyboard.press("Enter");
    await console.asked();
    check((await focused()) === "message", "the card took the focus");
    await keyboard.press("Alt+q");
    check((await focused()) === "Deny", `the focus is on ${await focused()} and not on what is safest`);
    await console.armed();
    await tabTo("Approve once");
    await keyboard.press("Enter");
    await console.page.getByText("The space bar approves; Enter does not.").last().waitFor();
    check((await console.cards.innerText()).includes("by-hand"), "Enter approved a call");
    await keyboard.press("Space");
    await console.until(() => document.querySelector(".approval")?.textContent.includes("again"));
    const place = await console.page.evaluate(() => document.activeElement !== document.body);
    check(place, "the focus is lost with the card");
    await keyboard.press("Alt+q");
    await keyboard.press("Enter");
    await keyboard.type("no more");
    await keyboard.press("Enter");
    await console.shows("Typed and done.");
    await console.settled();
    check((await console.log.innerText()).includes("no more"), "the reason was not taken");
    const heard = await console.page.locator("#announcer").innerText();
    check(heard.includes("Typed and done."), `a screen reader hears ${heard}`);
    check((await console.page.locator("[aria-live=polite]").count()) === 1, "there is not one polite live region");
    const overflow = await console.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(overflow <= 0, `${overflow} pixels lie outside of the screen`);
    await tabTo("Panels");
    await keyboard.press("Enter");
    await tabTo("Sessions");
    await keyboard.press("ArrowRight");
    check((await focused()) === "Tools", "the arrow keys do not lead from tab to tab");
    await console.page.getByText("What the servers say about their tools").waitFor();
  },
  { context: { viewport: { width: 360, height: 740 }, hasTouch: true } },
);
