// The events of the contract, version 1, as crates/socket-gateway/src/wire writes them. docs/events.md explains them.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The second argument of every event from the server. */
export interface Meta {
  /** The event's place in the session's log; absent on events that are not logged. */
  id?: string;
  turn?: number;
  at: string;
  callId?: string;
  /** On `error` alone. */
  code?: string;
}

export interface Annotations {
  readOnlyHint?: boolean;
  destructiveHint?: boolean;
  idempotentHint?: boolean;
  openWorldHint?: boolean;
}

export interface Tool {
  name: string;
  server: string;
  title?: string;
  description: string;
  inputSchema: Json;
  annotations: Annotations;
}

export interface Approval {
  callId: string;
  name: string;
  server: string | null;
  args: Json;
  queuePosition: number;
  totalInQueue: number;
  expiresAt: string;
  why: string;
  annotations: Annotations;
  /** What an answer is bound to; given back with it. */
  digest?: string;
  /** The digest's beginning, for people to compare. */
  fingerprint?: string;
  /** The rule that an approval for always stores; absent where that is not offered. */
  alwaysRule?: Json;
}

export interface Ready {
  sessionId: string;
  containerId: string;
  provider: string;
  model: string;
  tools: Tool[];
  protocol: number;
  lastEventId: string;
  resumed: boolean;
  pending: Approval[];
  /** From when on the connection's token is good for nothing. */
  tokenExpiresAt?: string;
}

export interface Progress {
  stage: string;
  status: string;
  message: string;
  current?: number;
  total?: number;
  unit?: string;
  elapsedMs: number;
}

export interface Attachment {
  mimeType: string;
  data: string;
  name?: string;
}

export interface UserMessage {
  text: string;
  attachments?: Attachment[];
  clientMessageId?: string;
}

export interface Piece {
  text: string;
  step: number;
  attempt: number;
}

export interface AgentError {
  message: string;
  code: string;
  retryable: boolean;
  hint?: string;
}

export interface ToolCall {
  callId: string;
  name: string;
  server: string | null;
  args: Json;
  status: "waiting" | "allowed" | "refused";
  why: string;
}

export type Decision = "approved" | "denied" | "expired" | "cancelled";
export type Scope = "once" | "session" | "always";

export interface Resolution {
  callId: string;
  decision: Decision;
  by: string | null;
  scope: Scope;
  reason?: string;
  args?: Json;
}

export interface ToolProgress {
  callId: string;
  progress: number;
  total?: number;
  message?: string;
}

export interface ToolError {
  callId: string;
  name: string;
  message: string;
  code: string;
}

export interface Usage {
  inputTokens: number;
  outputTokens: number;
  cachedInputTokens: number;
  reasoningTokens: number;
}

export interface TurnCompleted {
  stopReason: string;
  usage: Usage;
  toolCalls: number;
  durationMs: number;
}

/** A part of a tool's result, in MCP's form. */
export type Content =
  { type: "text"; text: string } | { type: "image"; data: string; mimeType: string } | { [key: string]: Json };

export interface HistoryCall {
  callId: string;
  name: string;
  server: string | null;
  args: Json;
  waiting?: boolean;
}

export type HistoryMessage =
  | { role: "user"; turn: number; at: string; text: string; attachments?: Attachment[]; clientMessageId?: string }
  | { role: "assistant"; turn: number; at: string; text: string; reasoning?: string; calls?: HistoryCall[] }
  | { role: "tool"; turn: number; at: string; results: { callId: string; content: Content[]; code?: string }[] };

export interface Snapshot {
  lastEventId: string;
  messages: HistoryMessage[];
  turn?: number;
  partial: string;
  thinking: boolean;
  calls: HistoryCall[];
  pending: Approval[];
}

/** How one of the session's MCP servers does. */
export interface McpStatus {
  server: string;
  state: "up" | "restarting" | "down" | "held_back";
  tools: number;
  problem?: string;
  code?: string;
}

/** Every event from the server, and its payload. */
export interface ServerEvents {
  "system:ready": Ready;
  "system:progress": Progress;
  "system:message": string;
  "user:message": UserMessage;
  "agent:thinking": null;
  "agent:delta": Piece;
  "agent:reasoning": Piece;
  "agent:response": string;
  "agent:error": AgentError;
  "tool:calls": ToolCall[];
  "tool:approval_required": Approval;
  "tool:approval_resolved": Resolution;
  "tool:started": { callId: string; name: string; server: string | null };
  "tool:progress": ToolProgress;
  "tool:output": string;
  "tool:error": ToolError;
  "mcp:status": McpStatus;
  "turn:completed": TurnCompleted;
  "history:snapshot": Snapshot;
  "session:expired": { reason: string };
  "auth:expired": { expiredAt: string; closesAt: string };
  error: string;
}

/** An event as it came. */
export type ServerEvent = {
  [Name in keyof ServerEvents]: { name: Name; payload: ServerEvents[Name]; meta: Meta };
}[keyof ServerEvents];

/** A session in the answer to `session:list`. */
export interface SessionEntry {
  sessionId: string;
  /** The first words of its first message, until it is renamed; null before the first one. */
  title: string | null;
  createdAt: string;
  lastActiveAt: string;
  busy: boolean;
  model: string;
  hasSandbox: boolean;
}

/** The acknowledgement of a command that was not followed. */
export interface Refusal {
  ok: false;
  code: string;
  message: string;
  retryable: boolean;
  hint?: string;
}

/** What commands are acknowledged with when they are followed, beside `ok`, where it is more than that. */
export interface Answers {
  message: { turn: number; duplicate: boolean };
  "session:list": { sessions: SessionEntry[] };
  "session:rename": object;
  "session:delete": object;
  "workspace:list": Directory;
  "workspace:read": FilePart;
}

/** The acknowledgement of what a client sent. */
export type Answer<Name extends string = string> =
  ({ ok: true } & (Name extends keyof Answers ? Answers[Name] : object)) | Refusal;

/** What a directory of the sandbox holds. */
export interface Directory {
  path: string;
  entries: FileEntry[];
  /** How many more there are at least. */
  leftOut?: number;
}

export interface FileEntry {
  name: string;
  kind: "file" | "directory" | "link" | "other";
  size?: number;
  target?: string;
}

/** A part of a file of the sandbox; offsets are bytes. */
export interface FilePart {
  path: string;
  offset: number;
  nextOffset?: number;
  content: Content[];
}

/** Their names, to know them by. */
export const EVENT_NAMES: ReadonlySet<string> = new Set<keyof ServerEvents>([
  "system:ready",
  "system:progress",
  "system:message",
  "user:message",
  "agent:thinking",
  "agent:delta",
  "agent:reasoning",
  "agent:response",
  "agent:error",
  "tool:calls",
  "tool:approval_required",
  "tool:approval_resolved",
  "tool:started",
  "tool:progress",
  "tool:output",
  "tool:error",
  "mcp:status",
  "turn:completed",
  "history:snapshot",
  "session:expired",
  "auth:expired",
  "error",
]);

/** The codes with which the same may succeed later. The rest is for a human to mend. */
export const RETRYABLE: ReadonlySet<string> = new Set([
  "rate_limited",
  "busy",
  "session_owned_elsewhere",
  "session_expired",
  "store_unavailable",
  "sandbox_unavailable",
  "server_draining",
  "provider_rate_limited",
  "provider_overloaded",
  "provider_bad_response",
  "provider_network",
  "provider_timeout",
  "provider_stream_cut",
  "turn_interrupted",
  "tool_timeout",
  "tool_crashed",
  "internal",
]);
