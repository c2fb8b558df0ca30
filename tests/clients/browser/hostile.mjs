// What a model and a tool write is text, whatever it says.
import { Console, check, play, run, script } from "./harness.mjs";

const markup = [
  "<script>window.owned = 1</script>",
  "<img src=x onerror='window.owned = 2'>",
  "<svg onload='window.owned = 3'>",
  "[click](javascript:window.owned=4)",
  "![pixel](https://evil.example/pixel.png)",
  "<a href='javascript:window.owned=5'>x</a>",
  "[https://bank.example](https://evil.example/)",
].join("\n\n");

await play(async (context) => {
  const asked = [];
  context.on("request", (request) => asked.push(request.url()));
  const console = await Console.open(context, process.argv[2]);
  const command = "printf '%s' '<img src=x onerror=window.owned=6> \u202egnp.exe' # \u200b";
  await console.say(script({ ...run(command, markup), reasoning: markup }, { text: markup, quote: true }));
  await console.asked();
  const card = await console.cards.innerText();
  check(card.includes("U+202E") && card.includes("U+200B"), `the card hides characters: ${card}`);
  check(!/[\u202e\u200b]/.test(card), "the card holds what cannot be seen");
  await console.button("Approve once").click();
  await console.settled();
  await console.page.locator("details:not([open]) > summary").first().click();
  const output = await console.calls.locator('pre[aria-label="Output"]').innerText();
  check(output.includes("<img src=x onerror=window.owned=6>") && output.includes("202E"), `the output is ${output}`);
  check(!/[\u202e\u200b]/.test(output), "the output holds what cannot be seen");
  const text = await console.answers.last().innerText();
  check(text.includes("<script>window.owned = 1</script>"), `the answer is ${text}`);
  check(text.includes("https://bank.example (https://evil.example/)"), "a link does not say where it leads");
  const found = await console.page.evaluate(() => ({
    owned: window.owned,
    elements: document.querySelectorAll(".log :is(script, img, svg, iframe, object, style, [onerror], [onload])")
      .length,
    links: [...document.querySelectorAll(".log a")].map((link) => link.href),
  }));
  check(found.owned === undefined && found.elements === 0, JSON.stringify(found));
  check(
    found.links.every((link) => link === "https://evil.example/"),
    `links: ${found.links}`,
  );
  const origin = new URL(process.argv[2]).host;
  const elsewhere = asked.filter((url) => !["data:"].includes(new URL(url).protocol) && new URL(url).host !== origin);
  check(elsewhere.length === 0, `the page asked ${elsewhere}`);
});
