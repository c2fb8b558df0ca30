// Lockkeeper's Socket.IO events. Generated from crates/socket-gateway/src/wire by `just contract`: change them there.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The version of the contract. */
export const PROTOCOL = 2;

/** What acknowledges a message. */
export interface Accepted {
  ok: true;
  /** Its turn. */
  turn: TurnId;
  /** Whether it had been accepted before. */
  duplicate: boolean;
}

/** Where an account stands. */
export interface Account {
  /** The day in UTC; absent for a session. */
  date?: string;
  /** Tokens that models read and wrote. */
  tokens: number;
  /** Calls of tools that ran. */
  toolCalls: number;
  /** How long models and tools were at work, in milliseconds. Time in which a human is waited for costs nothing. */
  wallMs: number;
  /** What is set aside for work that goes on. */
  held: Spend;
}

/** `agent:error`. */
export interface AgentError {
  /** What failed, for people. */
  message: string;
  /** What failed, for programs. */
  code: Code;
  /** Whether the same may succeed later. */
  retryable: boolean;
  /** What to do about it, for people. */
  hint?: string;
}

/** What a tool's server says about the tool's effects (MCP 2025-11-25, `ToolAnnotations`). Untrusted: a policy may let them raise a risk, never lower one. */
export interface Annotations {
  /** The tool changes nothing. */
  readOnlyHint?: boolean;
  /** What the tool changes may be lost. */
  destructiveHint?: boolean;
  /** The same call twice does what one does. */
  idempotentHint?: boolean;
  /** The tool deals with things outside of its server. */
  openWorldHint?: boolean;
}

/** The payload of `tool:approval`. */
export interface ApprovalCommand {
  /** Which call. */
  callId: CallId;
  /** Yes or no. */
  approved: boolean;
  /** The arguments that shall run instead of the model's. */
  args?: Json;
  /** The same as JSON text, instead of `args`: for clients whose JSON rounds large numbers. */
  argsText?: string;
  /** How far a yes reaches. */
  scope?: Scope;
  /** Which calls a yes for the session covers: one of the question's `sessionScopes`. By default every call of the tool, where that is offered. */
  grant?: GrantScope;
  /** What arguments must be for the rule of a yes for always to cover a call, as in a configuration's `args`. */
  constraints?: { [key: string]: ArgumentRule };
  /** Why not; it reaches the model. */
  reason?: string;
  /** Which question this answers: the `digest` of its `tool:approval_required`. With another one the answer is refused. */
  digest?: string;
}

/** `tool:approval_required`. */
export interface ApprovalRequired {
  /** Which call. */
  callId: CallId;
  /** The tool, as its server calls it. */
  name: string;
  /** The tool's server. */
  server: ServerName | null;
  /** The arguments that run if the call is approved as it is. */
  args: Json;
  /** The same as the exact JSON text that runs: show this, since a reader of `args` may round large numbers. */
  argsText: string;
  /** Its place among the step's calls that wait, from 1. */
  queuePosition: number;
  /** How many calls of the step wait in all. */
  totalInQueue: number;
  /** When the call is refused by itself. */
  expiresAt: string;
  /** Which rule asks, and why, for people. */
  why: string;
  /** The tool's hints about its effects: untrusted. */
  annotations: Annotations;
  /** The rule that an approval for always stores, as a configuration has it; absent where that is not offered. */
  alwaysRule?: Rule;
  /** The scopes that an approval for the session may have: give one back as `grant`. Absent where that is not offered. */
  sessionScopes?: GrantScope[];
  /** What an answer is bound to: give it back with the answer. None where an earlier version asked. */
  digest?: string;
  /** The first eight digits of the digest, for people to compare. */
  fingerprint?: string;
}

/** `tool:approval_resolved`. */
export interface ApprovalResolved {
  /** Which call. */
  callId: CallId;
  /** What became of it. */
  decision: Decision;
  /** Who decided; none when time, a cancellation or a rule did. */
  by: PrincipalId | null;
  /** How far the approval reaches. */
  scope: Scope;
  /** Why it was denied. */
  reason?: string;
  /** The arguments that run instead, where the human edited them. */
  args?: Json;
  /** The same as the exact JSON text that runs. */
  argsText?: string;
  /** Which calls of the session it covers, where it is for the session. */
  grant?: GrantScope;
  /** The rule that an approval for always has stored. */
  ruleId?: RuleId;
  /** What the decision is bound to: the question's digest, or another one where the human edited the arguments. */
  digest?: string;
}

/** What an argument must be: all that is given of it. */
export interface ArgumentRule {
  /** This very value. */
  equals?: Json;
  /** One of these. */
  one_of?: Json[];
  /** A text of this form; a `*` stands for any characters. */
  matches?: string;
  /** A path at or below this one, in words: without `..`, and relative only where this is. Links are the tool's business. */
  within?: string;
  /** A simple shell command that begins with these words: one program with plain words, and nothing that a shell makes something else of. */
  command?: string;
}

/** A file that came with a user's message. */
export interface Attachment {
  /** What the user calls it. */
  name?: string;
  /** The media type, as in `image/png`. */
  mimeType: string;
  /** The bytes, in base64. */
  data: string;
}

/** `budget:answered`. */
export interface BudgetAnswered {
  /** The question that is closed. */
  question?: QuestionId;
  /** Whether the turn goes on. */
  goOn: boolean;
  /** Who said so; none when time did, or the end of the turn. */
  by: PrincipalId | null;
}

/** `budget:asked`: a turn would cost more than there is, and waits for a human's `budget:answer`. */
export interface BudgetAsked {
  /** The question's name: the answer gives it back as `question`. None where a server of an earlier version asked. */
  question?: QuestionId;
  /** Whose budget it is. */
  of: BudgetOf;
  /** What there is not enough of. */
  measure: Measure;
  /** How much is spent or set aside. */
  taken: number;
  /** How much there is in all. */
  limit: number;
  /** When silence is a no. */
  expiresAt: string;
}

/** The payload of `budget:answer`. */
export interface BudgetCommand {
  /** Whether the turn goes on to its end, whatever it costs. */
  goOn: boolean;
  /** The question that this answers, as `budget:asked` gave it. Without it, the answer counts if this connection was shown one question alone that it has not answered. */
  question?: string;
}

/** Whose budget it is. */
export type BudgetOf =
  /** The session's. */
  | "session"
  /** Its owner's for the day. */
  | "day";

/** What was spent, and may be: the answer to `usage:get`. */
export interface Budgets {
  ok: true;
  /** By this session, from its beginning on. */
  session: Account;
  /** By all of your sessions, today. */
  day: Account;
  /** The limits. */
  limits: Limits;
}

/** Names a call of a tool. Minted by the turn, never by a model or a client: unique within its session. */
export type CallId = string;

/** News of a running call. */
export interface CallProgress {
  /** Which call. */
  callId: CallId;
  /** How far it is, by the tool's own measure. */
  progress: number;
  /** What would be all of it. */
  total?: number;
  /** What it does, for people; untrusted. */
  message?: string;
}

/** Where a call stands when it is first shown. */
export type CallStatus =
  /** It waits for a human. */
  | "waiting"
  /** A rule lets it run. */
  | "allowed"
  /** It will not run; its result says why. */
  | "refused";

/** The most that may be spent. `None`: as much as anyone likes. */
export interface Ceiling {
  /** Of tokens. */
  tokens?: number;
  /** Of calls. */
  toolCalls?: number;
  /** Of milliseconds. */
  wallMs?: number;
}

/** A client's own name for a message; the same one twice is one message. */
export type ClientMessageId = string;

/** The stable names of everything that can go wrong, the same on the wire, in the log and in the documents. */
export type Code =
  /** A payload does not have the form that the contract gives it. */
  | "invalid_payload"
  /** A payload, message or attachment is over its limit. */
  | "too_large"
  /** Nobody is known by this token. */
  | "unauthenticated"
  /** Somebody is, but not one who may do this. */
  | "forbidden"
  /** More events, connections or sessions than are allowed. */
  | "rate_limited"
  /** The queue of a session is full. */
  | "busy"
  /** Another process drives this session. */
  | "session_owned_elsewhere"
  /** The session's sandbox was removed after it had been idle for too long. */
  | "session_expired"
  /** No pending call has this id. */
  | "unknown_call"
  /** The call was decided before; the first answer holds. */
  | "already_resolved"
  /** The approval came after its time. */
  | "approval_expired"
  /** There is no stored rule by this id. */
  | "unknown_rule"
  /** The answer is not to the question that is being asked: its digest is another one, or it has none and must. */
  | "approval_mismatch"
  /** This scope of approval is not offered for the call. */
  | "scope_unavailable"
  /** The rules that an operator changed cannot be used; those before them stay in force. */
  | "policy_invalid"
  /** The tool is not the one that was judged and shown any more; the call was not run. */
  | "tool_changed"
  /** There is no turn to cancel. */
  | "nothing_running"
  /** The store cannot be reached, or refuses to write. */
  | "store_unavailable"
  /** The stored sessions of the user, or of all users, have reached their bound. */
  | "storage_full"
  /** No sandbox can be started for the session. */
  | "sandbox_unavailable"
  /** The server is shutting down. */
  | "server_draining"
  /** A required provider key is missing. */
  | "missing_api_key"
  /** The provider does not know the key, or it may not do this. */
  | "provider_authentication"
  /** The provider's quota or spend limit is used up. */
  | "provider_quota"
  /** The provider wants fewer requests. */
  | "provider_rate_limited"
  /** The provider is overloaded or failed by itself. */
  | "provider_overloaded"
  /** The provider refused the request as it is. */
  | "provider_bad_request"
  /** The conversation does not fit into the model's context. */
  | "context_too_long"
  /** The provider's answer could not be understood. */
  | "provider_bad_response"
  /** The provider cannot be reached. */
  | "provider_network"
  /** The provider did not answer in time. */
  | "provider_timeout"
  /** The provider's stream ended before the answer did. */
  | "provider_stream_cut"
  /** The model asked for a tool that does not exist. */
  | "unknown_tool"
  /** The arguments do not fit the tool's schema. */
  | "invalid_arguments"
  /** The model asked for more calls in one step than are allowed. */
  | "too_many_calls"
  /** The turn took as many steps, calls, tokens, as much output or as long as is allowed; the message says which. */
  | "turn_limit"
  /** The session, or its owner's day, has spent what it may. */
  | "budget_exceeded"
  /** The turn could not be continued after its server was lost. */
  | "turn_interrupted"
  /** A human, or a rule that one wrote, refused the call. */
  | "denied"
  /** The call or the turn was cancelled. */
  | "cancelled"
  /** The tool ran, and reported an error. */
  | "tool_failed"
  /** The tool did not answer in time. */
  | "tool_timeout"
  /** The tool's server ended during the call. */
  | "tool_crashed"
  /** The tool's server did not keep to the protocol. */
  | "tool_protocol"
  /** The tool's result is over the limit. */
  | "tool_output_too_large"
  /** The call was started, and nobody knows whether it finished. It is never run again by itself. */
  | "outcome_unknown"
  /** A defect of Lockkeeper's own. */
  | "internal";

/** A part of a message or of a tool's result, in the form that MCP gives it (`ContentBlock`). */
export type Content =
  /** Text or an image. */
  | KnownContent
  /** Audio, resources, links, and what later revisions add: kept as it came. */
  | { [key: string]: Json };

/** What acknowledges an answer for a call. */
export interface Decided {
  ok: true;
  /** The rule that an approval for always has stored. */
  ruleId?: RuleId;
}

/** What became of an approval. */
export type Decision =
  /** The call runs. */
  | "approved"
  /** A human said no, or a rule that came while it waited. */
  | "denied"
  /** Nobody answered in time. */
  | "expired"
  /** The turn was cancelled first. */
  | "cancelled"
  /** What it was about has changed: the tool has another definition, or the workspace was lost. A call that was approved for the lost workspace is asked about again. */
  | "void";

/** What a rule decides. */
export type DecisionRule =
  /** The call runs without a question. */
  | "allow"
  /** A human is asked. */
  | "ask"
  /** The call is refused. */
  | "deny";

/** The payload of `session:delete`. */
export interface DeleteCommand {
  /** Which session. */
  sessionId: SessionId;
}

/** What a directory of the workspace holds. */
export interface Directory {
  ok: true;
  /** Which directory, as it was asked for. */
  path: string;
  /** What is in it, by name. */
  entries: FileEntry[];
  /** How many more there are at least. */
  leftOut?: number;
}

/** What acknowledges a command about which there is no more to say. */
export interface Done {
  ok: true;
}

/** `session:expired`. */
export interface Expired {
  /** Why, for people. */
  reason: string;
}

/** `auth:expired`. */
export interface Expiry {
  /** Since when the token is good for nothing. */
  expiredAt: string;
  /** When the server disconnects, unless a fresh token comes first. */
  closesAt: string;
}

/** What lies in a directory. */
export interface FileEntry {
  /** Its name; characters that could not be seen are written as escapes. */
  name: string;
  /** What it is. */
  kind: FileKind;
  /** Its size in bytes, for files. */
  size?: number;
  /** Where it leads, for links. */
  target?: string;
}

/** What an entry of a directory is. */
export type FileKind =
  /** A file. */
  | "file"
  /** A directory. */
  | "directory"
  /** A symbolic link, which is not followed. */
  | "link"
  /** A socket, a device, a pipe; or it went away while it was looked at. */
  | "other";

/** A part of a file of the workspace. */
export interface FilePart {
  ok: true;
  /** Which file, as it was asked for. */
  path: string;
  /** Where the part begins, in bytes. */
  offset: number;
  /** Where the next part begins; none at the end of the file. */
  nextOffset?: number;
  /** Text, cleaned as the output of tools is, or a whole image. */
  content: Content[];
}

/** A rule of the operator's, which stands above stored ones. */
export interface FileRule {
  /** What people call it, as in `rule 2 of policy.toml`. */
  name: string;
  /** The rule, as a configuration has it. */
  rule: Rule;
}

/** Which later calls an approval for the session covers, all of the same tool. */
export type GrantScope =
  /** Every call of the tool. Offered only where the tool's server says that it neither destroys nor reaches outside. */
  | {
    kind: "tool";
  }
  /** Calls with exactly these arguments. */
  | {
    kind: "exact";
  }
  /** Simple shell commands that begin with these words. All other arguments must be the same. */
  | {
    kind: "command";
    /** The argument that holds the command. */
    argument: string;
    /** The words that it must begin with. */
    prefix: string;
  }
  /** Paths at or below this one, by their names. Other arguments may differ, but none may be added. */
  | {
    kind: "path";
    /** The argument that holds the path. */
    argument: string;
    /** The directory. */
    within: string;
  };

/** The `auth` of the Socket.IO handshake, all of which may be left out. Give it as a function, so that each reconnect names the last event that was seen. */
export interface HandshakeAuth {
  /** Who the client is, where the configuration has tokens. At most 8 KiB. */
  token?: string;
  /** A model for this session instead of the configured one. */
  model?: string;
  /** A provider key of the client's own, where the configuration takes them. At most 4 KiB. */
  apiKey?: string;
  /** Resume: replay what comes after this event, in order, then go on live. `0-0` stands before the first. */
  lastEventId?: string;
  /** The version of the contract that the client knows: 2. Without it the client gets the basic contract: one argument for each event, and `agent:error` as a sentence. */
  protocol?: number;
  /** What the connection may do. */
  role?: Role;
}

/** The query of the request that opens the connection. */
export interface HandshakeQuery {
  /** The session: 1 to 128 characters out of `A-Z a-z 0-9 _ -`. Without it the server makes one and says it in `system:ready`. */
  sessionId?: SessionId;
  /** The same as `auth.model`, which comes before it. */
  model?: string;
}

/** Hints that a tool must have. One that its server does not give counts as the riskier one, as in MCP. */
export interface HintRule {
  /** Whether what the tool changes may be lost. */
  destructive?: boolean;
  /** Whether it deals with things outside of its server. */
  open_world?: boolean;
  /** Whether it changes nothing. */
  read_only?: boolean;
}

/** A call of the history. */
export interface HistoryCall {
  /** Which call. */
  callId: CallId;
  /** The tool, as its server calls it. */
  name: string;
  /** The tool's server. */
  server: ServerName | null;
  /** The arguments. */
  args: Json;
  /** The arguments as the exact JSON text that runs. */
  argsText: string;
  /** Whether it waits for a human; on calls without a result alone. */
  waiting?: boolean;
  /** What an answer is bound to; on calls that wait alone. */
  digest?: string;
}

/** The payload of `history:get`, which may be left out. */
export interface HistoryCommand {
  /** The place before which to read; the end without it. */
  before?: number;
  /** How many messages at most. */
  limit?: number;
}

/** A message and its place in the history. */
export type HistoryEntry =
  {
    /** Its place. */
    index: number;
  } & (
    /** What a user said. */
    | {
      role: "user";
      /** The turn that it opens. */
      turn: TurnId;
      /** When it was accepted. */
      at: string;
      /** The text. */
      text: string;
      /** Images that go with it. */
      attachments?: Attachment[];
      /** The client's own name for it. */
      clientMessageId?: ClientMessageId;
    }
    /** What the model said. */
    | {
      role: "assistant";
      /** The turn that it belongs to. */
      turn: TurnId;
      /** When it was complete. */
      at: string;
      /** The text. */
      text: string;
      /** A summary of its reasoning. */
      reasoning?: string;
      /** The calls that it asks for. */
      calls?: HistoryCall[];
    }
    /** What the calls of the message before it came to. */
    | {
      role: "tool";
      /** The turn that it belongs to. */
      turn: TurnId;
      /** When the last result was there. */
      at: string;
      /** The results, in the order of the calls. */
      results: HistoryResult[];
    }
  );

/** A message of the history. */
export type HistoryMessage =
  /** What a user said. */
  | {
    role: "user";
    /** The turn that it opens. */
    turn: TurnId;
    /** When it was accepted. */
    at: string;
    /** The text. */
    text: string;
    /** Images that go with it. */
    attachments?: Attachment[];
    /** The client's own name for it. */
    clientMessageId?: ClientMessageId;
  }
  /** What the model said. */
  | {
    role: "assistant";
    /** The turn that it belongs to. */
    turn: TurnId;
    /** When it was complete. */
    at: string;
    /** The text. */
    text: string;
    /** A summary of its reasoning. */
    reasoning?: string;
    /** The calls that it asks for. */
    calls?: HistoryCall[];
  }
  /** What the calls of the message before it came to. */
  | {
    role: "tool";
    /** The turn that it belongs to. */
    turn: TurnId;
    /** When the last result was there. */
    at: string;
    /** The results, in the order of the calls. */
    results: HistoryResult[];
  };

/** A part of the history. */
export interface HistoryPage {
  ok: true;
  /** The messages, oldest first. */
  messages: HistoryEntry[];
  /** The place to ask for next, for older ones; none at the beginning. */
  before?: number;
}

/** A result of the history. */
export interface HistoryResult {
  /** Which call. */
  callId: CallId;
  /** What it said, in the form that MCP gives it. */
  content: Content[];
  /** Why it failed, if it did. */
  code?: Code;
}

/** `history:snapshot`: the session as it stands, for a view that does not know how far it had come. */
export interface HistorySnapshot {
  /** The last event that it accounts for. */
  lastEventId: string;
  /** The messages, oldest first. */
  messages: HistoryMessage[];
  /** The open turn. */
  turn?: TurnId;
  /** What the open turn's answer said so far. */
  partial: string;
  /** The step of the turn that said so; absent where nothing was said. */
  partialStep?: number;
  /** Which attempt at the step: a delta of a higher one replaces `partial`. */
  partialAttempt?: number;
  /** Whether the model is being asked right now. */
  thinking: boolean;
  /** The calls without a result. */
  calls: HistoryCall[];
  /** The calls that wait for a human. */
  pending: ApprovalRequired[];
  /** The question whether the open turn may go on, while a human is asked. */
  budget?: BudgetAsked;
}

/** The parts that every provider understands. */
export type KnownContent =
  /** Text. */
  | {
    type: "text";
    /** The text. */
    text: string;
  }
  /** An image. */
  | {
    type: "image";
    /** The bytes, in base64. */
    data: string;
    /** The media type, as in `image/png`. */
    mimeType: string;
  };

/** A tool that an MCP server lists and that is not offered. */
export interface LeftOutTool {
  /** The server's name for it. */
  tool: string;
  /** Why it is left out, for people. */
  reason: string;
}

/** The limits; what is absent has none. */
export interface Limits {
  /** Of a session. */
  session: Ceiling;
  /** Of a principal's day. */
  day: Ceiling;
  /** What happens beyond: `stop` or `ask`. */
  onExceeded: string;
}

/** The payload of `workspace:list`, which may be left out. */
export interface ListCommand {
  /** Which directory, relative to the workspace; by default the workspace itself. */
  path?: string;
}

/** `mcp:status`. */
export interface McpStatus {
  /** The server. */
  server: ServerName;
  /** What its process is doing. */
  state: ServerState;
  /** How many tools it offers; 0 when it is not up. */
  tools: number;
  /** Why it is not up, for people. */
  problem?: string;
  /** The code of the problem. */
  code?: Code;
  /** The tools that it lists and that are not offered, with the reasons. */
  leftOut?: LeftOutTool[];
}

/** One of the things that budgets count. */
export type Measure =
  /** Tokens. */
  | "tokens"
  /** Calls of tools. */
  | "toolCalls"
  /** The time of work. */
  | "wallMs";

/** The payload of `message`: a text alone, or this object. Fields that are not known are ignored, here and below, so that a newer client is understood. */
export interface MessageCommand {
  /** The text. */
  text: string;
  /** Images. */
  attachments?: Attachment[];
  /** The client's own name for it; the same one twice is one message. */
  clientMessageId?: ClientMessageId;
}

/** The second argument of every event from the server, for clients that ask for version 2. */
export interface Meta {
  /** The event's place in the session's log; absent on events that are not logged. */
  id?: string;
  /** The turn that it belongs to. */
  turn?: TurnId;
  /** When it happened. */
  at: string;
  /** The call that it is about. */
  callId?: CallId;
  /** Why the server disconnects, for programs; on `error` alone. */
  code?: Code;
}

/** `agent:delta` and `agent:reasoning`: a piece of text. */
export interface Piece {
  /** The piece. */
  text: string;
  /** The step of the turn, from 0. */
  step: number;
  /** Which attempt at the step: a higher one replaces the text of a lower one. */
  attempt: number;
}

/** Names who is on the other side of a connection: what an authenticator made of a token. */
export type PrincipalId = string;

/** Names a question about a budget: drawn when it is asked, and given back by its answer. */
export type QuestionId = string;

/** The payload of `workspace:read`. */
export interface ReadCommand {
  /** Which file, relative to the workspace. */
  path: string;
  /** Where to begin, in bytes. */
  offset?: number;
  /** At most this many bytes; the server has a limit of its own. */
  limit?: number;
}

/** `system:ready`. */
export interface Ready {
  /** The session. */
  sessionId: SessionId;
  /** Its sandbox, as the runtime calls it. */
  containerId: string;
  /** The provider. */
  provider: string;
  /** The model. */
  model: string;
  /** The tools that the model has. */
  tools: Tool[];
  /** The version of the contract. */
  protocol: number;
  /** Where the log ends. */
  lastEventId: string;
  /** Whether the session had been there before. */
  resumed: boolean;
  /** The calls that wait for a human now. */
  pending: ApprovalRequired[];
  /** From when on the connection's token is good for nothing; absent where it does not end. */
  tokenExpiresAt?: string;
}

/** The payload of `auth:refresh`. */
export interface RefreshCommand {
  /** A fresh token of the same principal's. */
  token: string;
}

/** What acknowledges a fresh token. */
export interface Refreshed {
  ok: true;
  /** Until when it is good; none where it does not end. */
  expiresAt?: string;
}

/** The acknowledgement of a command that was not followed: `{ ok: false, code, message, hint? }`. */
export interface Refused {
  ok: false;
  /** What to do about it, for people. */
  hint?: string;
  /** Why, for programs. */
  code: Code;
  /** Why, for people. */
  message: string;
  /** Whether the same may succeed later. */
  retryable: boolean;
}

/** The payload of `session:rename`. */
export interface RenameCommand {
  /** Which session. */
  sessionId: SessionId;
  /** What it is called from now on. */
  title: string;
}

/** The payload of `policy:revoke`. */
export interface RevokeCommand {
  /** Which stored rule. */
  id: RuleId;
}

/** What a connection may do: as much as its principal may, or less. */
export type Role =
  /** Everything. */
  | "driver"
  /** See everything, decide calls, change nothing else. */
  | "approver"
  /** See everything, change nothing. */
  | "observer";

/** A rule that a human wrote. It covers a call that everything in it fits. */
export interface Rule {
  /** The server, by name; a `*` stands for any characters. */
  server: string;
  /** The tool, as its server calls it; a `*` stands for any characters. */
  tool: string;
  /** Whose calls, by the name of the principal; a `*` stands for any characters. */
  user: string;
  /** What arguments must be, by their names: `path`, or `options.path` within an object. An argument that is missing fits nothing. */
  args?: { [key: string]: ArgumentRule };
  /** The hash of the tool's definition: a tool that has changed is not covered. */
  fingerprint?: string;
  /** What the tool's server says of the tool. It is not to be trusted, so a rule with hints may ask or deny, and not allow. */
  hints?: HintRule;
  /** What becomes of its calls. */
  decision: DecisionRule;
}

/** Names a rule that a principal's approval stored, among those of the same principal. */
export type RuleId = string;

/** The rules that are about the caller's calls. */
export interface Rules {
  ok: true;
  /** Those that approvals for always have stored, the first stored first. */
  rules: StoredRule[];
  /** Those of the operator, which stand above them. */
  fileRules: FileRule[];
}

/** The payload of `message`, as the contract's documents show it. */
export type Said =
  /** A text alone. */
  | string
  /** A text, and what goes with it. */
  | MessageCommand;

/** How far an approval reaches. */
export type Scope =
  /** This call. */
  | "once"
  /** Calls of the same tool, unchanged, in this session, as far as the scope goes that the answer names. */
  | "session"
  /** Every call that a stored rule covers. */
  | "always";

/** Names an MCP server within a configuration. */
export type ServerName = string;

/** What the process of an MCP server is doing. */
export type ServerState =
  /** It runs, and answers. */
  | "up"
  /** It ended and is started again, after a pause. */
  | "restarting"
  /** It ended, or never started. The next call of one of its tools tries to start it again. */
  | "down"
  /** It is not started, because it failed too often lately in sessions of the same principal. */
  | "held_back";

/** A session in the answer to `session:list`. */
export interface SessionEntry {
  /** The session. */
  sessionId: SessionId;
  /** What it is called: the first words of its first message until it is renamed; null before the first one. */
  title: SessionTitle | null;
  /** When it was opened for the first time. */
  createdAt: string;
  /** When somebody last used it. */
  lastActiveAt: string;
  /** Whether a turn is open or waits. */
  busy: boolean;
  /** The model that answers in it. */
  model: string;
  /** Whether it has a sandbox, so that its files are there. */
  hasSandbox: boolean;
}

/** Names a session. What a client sends becomes one only through [`SessionId::parse`], so that client input never reaches the structure of a key. */
export type SessionId = string;

/** What a session is called in lists: the first words of its first message, until somebody renames it. */
export type SessionTitle = string;

/** What acknowledges a request for the sessions. */
export interface Sessions {
  ok: true;
  /** The last used first. */
  sessions: SessionEntry[];
}

/** The payload of `session:list`, which may be left out. */
export interface SessionsCommand {
  /** How many sessions at most. */
  limit?: number;
}

/** What work costs, as budgets count it. */
export interface Spend {
  /** Tokens that models read and wrote. */
  tokens: number;
  /** Calls of tools that ran. */
  toolCalls: number;
  /** How long models and tools were at work, in milliseconds. Time in which a human is waited for costs nothing. */
  wallMs: number;
}

/** A stage of a sandbox's start, for people who wait. */
export interface StartProgress {
  /** Which stage: `creating`, `starting`, `connecting`, and `listing` once an MCP server has answered. */
  stage: string;
  /** `running`, `done` or `failed`. */
  status: string;
  /** What happens, for people. */
  message: string;
  /** How much of it is done. */
  current?: number;
  /** Of how much. */
  total?: number;
  /** Of what. */
  unit?: string;
  /** Since the start began, in milliseconds. */
  elapsedMs: number;
}

/** Why a turn ended. */
export type StopReason =
  /** The model had said all. */
  | "end_turn"
  /** The answer reached the limit of its length. */
  | "max_tokens"
  /** The model came to a stop sequence. */
  | "stop_sequence"
  /** The model refused. */
  | "refusal"
  /** The provider's safety filter stopped the answer. */
  | "safety"
  /** The provider stopped the answer before it was finished, for another reason, which the answer gives. */
  | "unfinished"
  /** The turn took as many steps as are allowed. */
  | "step_limit"
  /** It reached another limit of turns; an `agent:error` before it says which. */
  | "turn_limit"
  /** A user cancelled it. */
  | "cancelled"
  /** Something failed; an `agent:error` before it says what. */
  | "error"
  /** Its server was lost and the turn could not be continued. */
  | "interrupted";

/** A rule that an approval for always has stored. */
export interface StoredRule {
  /** Its name, for `policy:revoke`. */
  id: RuleId;
  /** The rule, as a configuration has it. */
  rule: Rule;
  /** When it was stored. */
  createdAt: string;
  /** When it last let a call run. */
  lastUsedAt?: string;
}

/** A tool that the model has. */
export interface Tool {
  /** What its server calls it. */
  name: string;
  /** Its server. */
  server: ServerName;
  /** A name for people. */
  title?: string;
  /** What it does, in its server's words: untrusted. */
  description: string;
  /** The JSON Schema of its arguments. */
  inputSchema: Json;
  /** Its server's hints about its effects: untrusted. */
  annotations: Annotations;
}

/** One of `tool:calls`. */
export interface ToolCall {
  /** Which call. */
  callId: CallId;
  /** The tool, as its server calls it. */
  name: string;
  /** The tool's server; none when there is no such tool. */
  server: ServerName | null;
  /** The arguments. */
  args: Json;
  /** The arguments as the exact JSON text that runs: a reader of `args` may round large numbers. */
  argsText: string;
  /** Where it stands. */
  status: CallStatus;
  /** Which rule decided so, and why, for people. */
  why: string;
  /** What an answer is bound to that comes before the question is asked; on calls that wait alone. */
  digest?: string;
}

/** `tool:error`. */
export interface ToolError {
  /** Which call. */
  callId: CallId;
  /** The tool, as its server calls it. */
  name: string;
  /** What happened, for people. */
  message: string;
  /** What happened, for programs. */
  code: Code;
}

/** `tool:quarantined`. */
export interface ToolQuarantined {
  /** The tool's server. */
  server: ServerName;
  /** The tool, as its server calls it. */
  name: string;
  /** What it was when it was judged or trusted before: untrusted text. */
  before: ToolShape;
  /** What it is now: untrusted text. */
  after: ToolShape;
  /** What differs: `title`, `description`, `inputSchema`, `annotations`, or `other`, which is not shown. Empty where the tool is again what it was. */
  changes: string[];
  /** Names what it is now: `tool:trust` gives it back. */
  fingerprint: string;
}

/** What a tool's server says of it. */
export interface ToolShape {
  /** A name for people. */
  title?: string;
  /** What it does. */
  description: string;
  /** The JSON Schema of its arguments; null where it is too large to be kept. */
  inputSchema: Json;
  /** Hints about its effects. */
  annotations: Annotations;
}

/** `tool:started`. */
export interface ToolStarted {
  /** Which call. */
  callId: CallId;
  /** The tool, as its server calls it. */
  name: string;
  /** The tool's server. */
  server: ServerName | null;
}

/** `tool:trusted`. */
export interface ToolTrusted {
  /** The tool's server. */
  server: ServerName;
  /** The tool, as its server calls it. */
  name: string;
  /** What is trusted. */
  fingerprint: string;
  /** Who says so. */
  by: PrincipalId;
}

/** The payload of `tool:trust`. */
export interface TrustCommand {
  /** The tool's server. */
  server: ServerName;
  /** The tool, as its server calls it. */
  name: string;
  /** The `fingerprint` of its `tool:quarantined`: what was shown is trusted, and nothing else. */
  fingerprint: string;
}

/** `turn:completed`. */
export interface TurnCompleted {
  /** Why it ended. */
  stopReason: StopReason;
  /** What all its steps cost. */
  usage: Usage;
  /** How many calls the model asked for. */
  toolCalls: number;
  /** How long it took, in milliseconds. */
  durationMs: number;
}

/** A turn of a session: the n-th accepted user message and everything that it leads to. From 1. */
export type TurnId = number;

/** What a model's work cost, in tokens, as its provider counted. */
export interface Usage {
  /** Tokens read, cached ones included. */
  inputTokens: number;
  /** Tokens written, reasoning included. */
  outputTokens: number;
  /** Of the tokens read, those that came from the provider's cache. */
  cachedInputTokens: number;
  /** Of the tokens written, those that were reasoning. */
  reasoningTokens: number;
}

/** `user:message`. */
export interface UserMessage {
  /** The text. */
  text: string;
  /** Images that go with it. */
  attachments?: Attachment[];
  /** The client's own name for it. */
  clientMessageId?: ClientMessageId;
}

/** The payload of each event from the server, which is its first argument. */
export interface ServerEvents {
  /** The session's sandbox and tools are there: the first event that says where the session stands. */
  "system:ready": Ready;
  /** How the sandbox gets on while it is started. */
  "system:progress": StartProgress;
  /** Lockkeeper has something to say, in a sentence for people. */
  "system:message": string;
  /** A user's message was accepted. It comes to every view, so that every tab shows it. */
  "user:message": UserMessage;
  /** The model is being asked. The payload is `null`. */
  "agent:thinking": null;
  /** A piece of the answer's text. */
  "agent:delta": Piece;
  /** A piece of a summary of the model's reasoning. */
  "agent:reasoning": Piece;
  /** The whole text of the answer. */
  "agent:response": string;
  /** The turn failed; or a command without an acknowledgement did, and then it is not logged. */
  "agent:error": AgentError;
  /** All calls of a step at once, in the model's order. */
  "tool:calls": ToolCall[];
  /** A call waits for a human: one at a time, in order. */
  "tool:approval_required": ApprovalRequired;
  /** A call waits no longer: every view closes its card. */
  "tool:approval_resolved": ApprovalResolved;
  /** A tool has another definition than before: it is neither shown to the model nor run until somebody trusts it. */
  "tool:quarantined": ToolQuarantined;
  /** Somebody takes a tool that was held back as it is now. */
  "tool:trusted": ToolTrusted;
  /** A call is about to run. */
  "tool:started": ToolStarted;
  /** How a call gets on, in the words of its tool. */
  "tool:progress": CallProgress;
  /** A call succeeded. The payload is its result's content in MCP's form, written as a string of JSON. */
  "tool:output": string;
  /** A call came to nothing: it failed, was denied, or was cancelled. */
  "tool:error": ToolError;
  /** One of the session's MCP servers went up or down. */
  "mcp:status": McpStatus;
  /** The turn's one end. Each turn has it, whatever became of it. */
  "turn:completed": TurnCompleted;
  /** The session as it stands, where `lastEventId` is older than what is kept, or was not given. */
  "history:snapshot": HistorySnapshot;
  /** The session's sandbox was removed; its history stays. */
  "session:expired": Expired;
  /** The turn would cost more than there is, and waits for a human's `budget:answer`. */
  "budget:asked": BudgetAsked;
  /** Somebody said whether such a turn goes on, or nobody did in time. */
  "budget:answered": BudgetAnswered;
  /** The connection's token is over, and a fresh one is wanted: see `auth:refresh`. */
  "auth:expired": Expiry;
  /** The server refuses the connection, for a reason in a sentence, and disconnects. */
  error: string;
}

/** The payload of each event that a client may send. */
export interface ClientEvents {
  /** Says something to the model. An acknowledged message is stored. The same `clientMessageId` twice is one message. While a turn runs it queues; then `busy`. */
  message: Said;
  /** Answers for any pending call, in any order; the first answer wins, a later one gets `already_resolved`. */
  "tool:approval": ApprovalCommand;
  /** Takes a tool that is held back as its `tool:quarantined` showed it. With another fingerprint it is refused. */
  "tool:trust": TrustCommand;
  /** Cancels the turn: running calls are cancelled, pending ones denied, each with its result. */
  "turn:cancel": null;
  /** Reads the history, page by page, the newest first. */
  "history:get"?: HistoryCommand;
  /** Empties the history. The log stays. */
  "history:reset": null;
  /** Ends the session: its sandbox goes now, its history stays. */
  "session:end": null;
  /** Lists your sessions, the last used first. */
  "session:list"?: SessionsCommand;
  /** Gives any session of yours another title. */
  "session:rename": RenameCommand;
  /** Removes any session of yours for good, with its log and its history. */
  "session:delete": DeleteCommand;
  /** Lists the rules that approvals for always have stored for you, and those of the operator that are about you. */
  "policy:list": null;
  /** Revokes a rule that is stored for you: it lets nothing run from now on. `unknown_rule` if you have none by this id. */
  "policy:revoke": RevokeCommand;
  /** Looks at what a directory of the sandbox holds. */
  "workspace:list"?: ListCommand;
  /** Reads a part of a file of the sandbox. */
  "workspace:read": ReadCommand;
  /** Tells what this session, and all of yours today, have spent, and may: for its owner. */
  "usage:get": null;
  /** Says whether a turn that would cost more than there is goes on to its end; the first answer holds. */
  "budget:answer": BudgetCommand;
  /** Brings a fresh token of the same principal's, before the connection's own is over or soon after. */
  "auth:refresh": RefreshCommand;
}

/** What acknowledges each of them where it was followed; else it is `Refused`. */
export interface Answers {
  message: Accepted;
  "tool:approval": Decided;
  "tool:trust": Done;
  "turn:cancel": Done;
  "history:get": HistoryPage;
  "history:reset": Done;
  "session:end": Done;
  "session:list": Sessions;
  "session:rename": Done;
  "session:delete": Done;
  "policy:list": Rules;
  "policy:revoke": Done;
  "workspace:list": Directory;
  "workspace:read": FilePart;
  "usage:get": Budgets;
  "budget:answer": Done;
  "auth:refresh": Refreshed;
}

/** The names of all events from the server. */
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
  "tool:quarantined",
  "tool:trusted",
  "tool:started",
  "tool:progress",
  "tool:output",
  "tool:error",
  "mcp:status",
  "turn:completed",
  "history:snapshot",
  "session:expired",
  "budget:asked",
  "budget:answered",
  "auth:expired",
  "error",
]);

/** The codes with which the same may succeed later. */
export const RETRYABLE: ReadonlySet<string> = new Set<Code>([
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
