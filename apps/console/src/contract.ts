// The events of the contract, as the server's own code says them: `just contract` generates them from
// crates/socket-gateway/src/wire. A new event or field is declared there; then its types are here. docs/events.md explains them.

import type * as contract from "../../client/src/events.ts";

export type * from "../../client/src/events.ts";
export { EVENT_NAMES, RETRYABLE } from "../../client/src/events.ts";

// What the console calls them.
export type Approval = contract.ApprovalRequired & {
  /** What an answer is bound to, where the server says it; given back with it. */
  digest?: string;
  /** The digest's beginning, for people to compare. */
  fingerprint?: string;
  /** The rule that an approval for always stores; absent where that is not offered. */
  alwaysRule?: unknown;
};
export type Progress = contract.StartProgress;
export type Refusal = contract.Refused;
export type Resolution = contract.ApprovalResolved;
export type Snapshot = contract.HistorySnapshot;
export type ToolProgress = contract.CallProgress;

/** A rule that an approval for always has stored. The console shows a rule as it is written and looks at nothing of it. */
export interface StoredRule {
  id: string;
  rule: unknown;
  createdAt: string;
  lastUsedAt?: string;
}

/** A rule of the operator's, which stands above stored ones. */
export interface FileRule {
  name: string;
  rule: unknown;
}

/** What commands are acknowledged with. */
export type Answers = Omit<contract.Answers, "policy:list" | "policy:revoke"> & {
  "policy:list": { rules: StoredRule[]; fileRules: FileRule[] };
  "policy:revoke": contract.Done;
};

/** An event as it came. */
export type ServerEvent = {
  [Name in keyof contract.ServerEvents]: { name: Name; payload: contract.ServerEvents[Name]; meta: contract.Meta };
}[keyof contract.ServerEvents];

/** The acknowledgement of what a client sent. */
export type Answer<Name extends string = string> =
  (Name extends keyof contract.Answers ? contract.Answers[Name] : { ok: true }) | Refusal;
