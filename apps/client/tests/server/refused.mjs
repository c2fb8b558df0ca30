// A token that nobody has is refused, once, and one that a function gives is taken: refused.mjs URL TOKEN
import { Refusal, connect } from "../../dist/index.js";
import { check, play } from "./harness.mjs";

await play(async (url) => {
  const stranger = connect(url, { token: "nobody-has-this-token-0123456789" });
  const states = [];
  stranger.onState(({ kind }) => states.push(kind));
  const refusal = await stranger.ready().catch((error) => error);
  check(refusal instanceof Refusal && refusal.code === "unauthenticated", `refused with ${refusal}`);
  check(stranger.state.kind === "refused" && states.filter((kind) => kind === "lost").length === 0, `it was ${states}`);
  stranger.close();
  let asked = 0;
  const session = connect(url, { token: async () => (asked++, process.argv[3]) });
  await session.ready();
  check(asked === 1, `the token was asked for ${asked} times`);
  session.close();
});
