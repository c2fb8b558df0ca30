// What a session's log comes to, for people to look at.

import type {
  AgentError,
  Annotations,
  Attachment,
  BudgetAsked,
  Content,
  GrantScope,
  Json,
  McpStatus,
  Progress,
  Quarantine,
  Ready,
  Resolution,
  TurnCompleted,
  Usage,
} from "../contract.ts";
import { BEGINNING, type Order } from "./order.ts";

/** Where a call stands. */
export type Phase = "queued" | "asking" | "allowed" | "refused" | "running" | "succeeded" | "failed" | "unsettled";

export interface Call {
  readonly callId: string;
  readonly turn: number | undefined;
  readonly name: string;
  readonly server: string | null;
  /** What the model asked for. */
  readonly args: Json;
  /** The same as the exact JSON text that runs; absent where an earlier version of the server says nothing of it. */
  readonly argsText?: string;
  readonly phase: Phase;
  /** Which rule decided so, in the server's words. */
  readonly why?: string;
  /** The question, once it was asked. */
  readonly question?: Question;
  readonly resolution?: Resolution;
  readonly progress?: { readonly progress: number; readonly total?: number; readonly message?: string };
  readonly output?: readonly Content[];
  readonly error?: { readonly message: string; readonly code: string };
}

/** The arguments as the text that runs. */
export function argsText(call: Call): string {
  return call.argsText ?? JSON.stringify(call.args);
}

export interface Question {
  readonly position: number;
  readonly total: number;
  readonly expiresAt: string;
  readonly why: string;
  readonly annotations: Annotations;
  readonly digest: string | undefined;
  readonly fingerprint: string | undefined;
  /** What an approval for always would store; `undefined` where that is not offered. */
  readonly alwaysRule: unknown;
  /** How far an approval for the session may reach; none where that is not offered. */
  readonly sessionScopes: readonly GrantScope[];
}

/** What stands in the conversation, in order. */
export type Item =
  | {
      readonly kind: "user";
      readonly key: string;
      readonly turn: number | undefined;
      readonly at: string;
      readonly text: string;
      readonly attachments: readonly Attachment[];
      readonly clientMessageId: string | undefined;
    }
  | AnswerItem
  | { readonly kind: "call"; readonly key: string; readonly turn: number | undefined; readonly callId: string }
  | { readonly kind: "notice"; readonly key: string; readonly turn: number | undefined; readonly text: string }
  | { readonly kind: "failure"; readonly key: string; readonly turn: number | undefined; readonly error: AgentError }
  | {
      readonly kind: "end";
      readonly key: string;
      readonly turn: number | undefined;
      readonly at: string;
      readonly completed: TurnCompleted;
    };

export interface AnswerItem {
  readonly kind: "answer";
  readonly key: string;
  readonly turn: number | undefined;
  /** `undefined` where a snapshot does not say. */
  readonly step: number | undefined;
  readonly attempt: number;
  readonly text: string;
  readonly reasoning: string;
  /** Whether more of it may come. */
  readonly open: boolean;
}

export interface Session {
  readonly order: Order;
  readonly ready: Ready | undefined;
  readonly items: readonly Item[];
  readonly calls: ReadonlyMap<string, Call>;
  /** The turns that have begun and not ended. */
  readonly openTurns: ReadonlySet<number>;
  readonly thinking: boolean;
  readonly usage: Usage;
  readonly turns: number;
  readonly toolCalls: number;
  /** How the sandbox gets on, by stage. */
  readonly progress: ReadonlyMap<string, Progress>;
  /** Why the sandbox was removed, until there is a new one. */
  readonly expired: string | undefined;
  /** Those of the session's MCP servers of which the server has said how they do. */
  readonly servers: ReadonlyMap<string, McpStatus>;
  /** The tools that are held back because they changed, by `quarantineKey`. */
  readonly quarantined: ReadonlyMap<string, Quarantine>;
  /** When the server disconnects because the token is over, until it has a fresh one. */
  readonly tokenOver: string | undefined;
  /** The question whether the open turn may go on though it costs more than there is. */
  readonly budget: BudgetAsked | undefined;
  /** Whether the log's beginning is not kept any more, so that what is here begins with a snapshot. */
  readonly fromSnapshot: boolean;
  /** How far this machine's clock is ahead of the server's, in milliseconds. */
  readonly clockAhead: number;
}

export const NO_USAGE: Usage = { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0, reasoningTokens: 0 };

export const EMPTY: Session = {
  order: BEGINNING,
  ready: undefined,
  items: [],
  calls: new Map(),
  openTurns: new Set(),
  thinking: false,
  usage: NO_USAGE,
  turns: 0,
  toolCalls: 0,
  progress: new Map(),
  expired: undefined,
  servers: new Map(),
  quarantined: new Map(),
  tokenOver: undefined,
  budget: undefined,
  fromSnapshot: false,
  clockAhead: 0,
};

/** The calls that ask a human, in the order of the conversation. */
export function asking(session: Session): Call[] {
  return [...session.calls.values()].filter((call) => call.phase === "asking");
}

/** Tells tools apart: names of servers hold no space. */
export function quarantineKey(tool: { readonly server: string; readonly name: string }): string {
  return `${tool.server} ${tool.name}`;
}

/** Whether a call has its result. */
export function isSettled(call: Call): boolean {
  return call.phase === "succeeded" || call.phase === "failed" || call.phase === "refused";
}

/** What the tool of a call takes, where it is offered. */
export function schemaOf(session: Session, call: Call): Json | undefined {
  return session.ready?.tools.find((tool) => tool.name === call.name && tool.server === call.server)?.inputSchema;
}

/** Whether a turn is under way. */
export function isRunning(session: Session): boolean {
  return session.openTurns.size > 0;
}
