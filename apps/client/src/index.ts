// A typed client of Lockkeeper's Socket.IO interface.

export { connect, type Options } from "./connect.ts";
export { numberOf } from "./cursor.ts";
export type * from "./events.ts";
export { EVENT_NAMES, PROTOCOL, RETRYABLE } from "./events.ts";
export { Refusal, Unanswered } from "./failures.ts";
export { Session, type State } from "./session.ts";
export type { ServerEvent } from "./wire.ts";
