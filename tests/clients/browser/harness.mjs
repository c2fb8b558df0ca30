// The console in a browser: opened, watched, and driven as a person would, by what things are called and not by where they are.
import { chromium } from "playwright-core";

export const PATIENCE_MS = 60_000;

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function check(condition, why) {
  if (!condition) throw new Error(why);
}

/** Makes the demo provider take these steps. */
export function script(...steps) {
  return "script: " + JSON.stringify(steps.map((step) => ({ delay_ms: 0, ...step })));
}

/** A step that runs a command. */
export function run(command, text = "") {
  return { text, calls: [{ name: "execute_command", args: { command } }] };
}

/** Plays a case in a browser of its own. Whatever the page complains of fails it, but for what `excused` matches. */
export async function play(act, { context: options = {}, excused = /^$/ } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ARGUMENTS,
    headless: true,
    timeout: PATIENCE_MS,
  });
  const complaints = [];
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    context.on("page", (page) => {
      page.on("pageerror", (error) => complaints.push(error.stack ?? String(error)));
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complaints.push(message.text());
      });
      page.on("dialog", (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
    });
    try {
      await act(context);
    } catch (error) {
      for (const page of context.pages()) console.error(await drawn(page), "\n", complaints.join("\n"));
      throw error;
    }
    const left = complaints.filter((text) => !excused.test(text));
    check(left.length === 0, `the page complains:\n${left.join("\n")}`);
  } finally {
    await browser.close();
  }
}

async function drawn(page) {
  const text = await page
    .locator("body")
    .innerText({ timeout: 1_000 })
    .catch(() => "(nothing)");
  return `--- ${page.url()} shows:\n${text}`;
}

/** A page of the console. */
export class Console {
  constructor(page) {
    this.page = page;
    this.log = page.getByRole("log");
    this.message = page.getByRole("textbox", { name: "Message" });
    this.cards = page.locator(".approval");
    this.calls = this.log.locator("article.call");
    this.answers = this.log.locator("article.said.agent");
    this.said = this.log.locator("article.said.user");
  }

  static async open(context, url) {
    const page = await context.newPage();
    await page.goto(url);
    const console = new Console(page);
    await console.connected();
    return console;
  }

  async connected() {
    await this.page.locator('.link[data-link="ready"]').waitFor();
  }

  async say(text) {
    await this.message.fill(text);
    await this.message.press("Enter");
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  /** Waits until this many calls wait for an answer. */
  async asked(count = 1) {
    await this.until((wanted) => document.querySelectorAll(".approval").length === wanted, count);
  }

  /** Waits until a card has been there for long enough to be approved. */
  async armed() {
    await this.until(() => document.querySelector(".approval .primary:enabled") !== null);
  }

  /** Opens the panel of this name. */
  async panel(name) {
    await this.page.getByRole("tab", { name, exact: true }).click();
  }

  /** Waits until no turn runs: then there is nothing to stop. */
  async settled() {
    await this.until(() => ![...document.querySelectorAll("button")].some((button) => button.textContent === "Stop"));
  }

  until(condition, argument) {
    return this.page.waitForFunction(condition, argument, { timeout: PATIENCE_MS });
  }

  /** Waits until the text is in the conversation. */
  shows(text) {
    return this.until((wanted) => document.querySelector(".log")?.textContent.includes(wanted), text);
  }

  session() {
    return new URLSearchParams(new URL(this.page.url()).hash.slice(1)).get("session");
  }
}
