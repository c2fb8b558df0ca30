// What these programs have in common: they run the built package against a real server.
import { once } from "node:events";
import { createInterface } from "node:readline";

const PATIENCE_MS = 30_000;

export function check(condition, why) {
  if (!condition) throw new Error(why);
}

/** Makes the demo provider take these steps. */
export function script(...steps) {
  return "script: " + JSON.stringify(steps.map((step) => ({ delay_ms: 0, ...step })));
}

/** A step that runs a command. */
export function run(command) {
  return { calls: [{ name: "execute_command", args: { command } }] };
}

/** The next event of this name that `wanted` takes. */
export function next(session, name, wanted = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name} in time`)), PATIENCE_MS);
    const stop = session.on(name, (payload, meta) => {
      if (!wanted(payload, meta)) return;
      clearTimeout(timer);
      stop();
      resolve(payload);
    });
  });
}

const answers = createInterface({ input: process.stdin });

/** Has the suite do something to the server. */
export async function ask(what) {
  const done = once(answers, "line");
  console.log(`ask: ${what}`);
  await done;
}

/** Runs a case. Sockets and standard input would keep the program alive. */
export async function play(act) {
  try {
    await act(process.argv[2]);
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
