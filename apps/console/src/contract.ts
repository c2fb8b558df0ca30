// The events of the contract, as the server's own code says them: `just contract` generates them from
// crates/socket-gateway/src/wire. A new event or field is declared there; then its types are here. docs/events.md explains them.

import type * as contract from "../../client/src/events.ts";

export type * from "../../client/src/events.ts";
export { EVENT_NAMES, PROTOCOL, RETRYABLE } from "../../client/src/events.ts";

// What the console calls them.
export type Approval = contract.ApprovalRequired;
export type Progress = contract.StartProgress;
export type Quarantine = contract.ToolQuarantined;
export type Refusal = contract.Refused;
export type Resolution = contract.ApprovalResolved;
export type Snapshot = contract.HistorySnapshot;
export type ToolProgress = contract.CallProgress;

/** An event as it came. */
export type ServerEvent = {
  [Name in keyof contract.ServerEvents]: { name: Name; payload: contract.ServerEvents[Name]; meta: contract.Meta };
}[keyof contract.ServerEvents];

/** The acknowledgement of what a client sent. */
export type Answer<Name extends string = string> =
  (Name extends keyof contract.Answers ? contract.Answers[Name] : { ok: true }) | Refusal;
