// The files of the sandbox: folders, parts of a text, images by what they are, and nothing once it is removed.
import { Console, check, play, run, script } from "./harness.mjs";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

await play(async (context) => {
  const console = await Console.open(context, process.argv[2]);
  await console.panel("Sandbox");
  await console.page.getByText("There is nothing here yet.").waitFor();
  const command = [
    "mkdir -p src/deep; printf 'fn main() {}\\n' > src/main.rs; ln -s /etc/passwd out",
    "printf '<script>window.owned = 1</script> a\\342\\200\\256b' > page.html",
    `printf ${PIXEL} | base64 -d > pixel.txt; printf '<svg onload=alert(1)>' > drawing.png`,
    "seq 1 20000 > numbers.txt; head -c 100 /dev/zero > binary",
  ].join("; ");
  await console.say(script(run(command), { text: "Made." }));
  await console.asked();
  await console.button("Approve once").click();
  await console.settled();

  // Nobody looks again by hand: a call that ended may have changed them.
  const file = (name) => console.page.getByRole("button", { name: new RegExp(`^${name}`) });
  const preview = console.page.locator(".preview");
  await file("src/").click();
  await file("main.rs").click();
  await preview.getByText("fn main() {}").waitFor();
  await console.page.getByRole("button", { name: "workspace", exact: true }).click();
  await console.page.getByText("leads to /etc/passwd").waitFor();
  check((await file("out").count()) === 0, "a link can be followed");

  await file("page.html").click();
  await preview.getByText("window.owned").waitFor();
  const shown = await preview.innerText();
  check(shown.includes("<script>window.owned = 1</script>") && shown.includes("202E"), `the file is ${shown}`);
  await file("pixel.txt").click();
  await preview.locator("img").waitFor();
  check((await preview.locator("img").getAttribute("src")).startsWith("data:image/png;"), "an image is not what it is");
  await file("drawing.png").click();
  await preview.getByText("<svg onload=alert(1)>").waitFor();
  check((await preview.locator("img, svg").count()) === 0, "a text is drawn because of its name");
  await file("binary").click();
  await preview.getByText(/is a binary file of 100 bytes/).waitFor();

  await file("numbers.txt").click();
  const more = console.page.getByRole("button", { name: /^Read on after/ });
  await more.waitFor();
  while ((await more.count()) > 0) {
    const before = await preview.locator("pre").innerText();
    await more.click();
    await console.until((length) => document.querySelector(".preview pre").innerText.length > length, before.length);
  }
  const everything = console.page.getByRole("button", { name: /^Show all/ });
  if ((await everything.count()) > 0) await everything.click();
  const numbers = (await preview.locator("pre").innerText()).trim().split("\n");
  check(numbers.length === 20_000 && numbers[19_999] === "20000", `${numbers.length} lines of 20,000 came`);
  check((await console.page.evaluate(() => window.owned)) === undefined, "a file's markup ran");

  await console.button("Remove the sandbox").click();
  await console.button("Remove it with its files?").click();
  await console.page.getByText("has no sandbox at the moment").waitFor();
});
