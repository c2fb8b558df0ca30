import type { Code, Refused } from "./events.ts";

/** The server did not do what it was asked for, and says why. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  /** Why, for programs. */
  readonly code: Code;
  /** Whether the same may succeed later. */
  readonly retryable: boolean;
  /** What to do about it, for people. */
  readonly hint: string | undefined;

  constructor(refused: Pick<Refused, "code" | "message" | "retryable" | "hint">) {
    super(refused.message);
    this.code = refused.code;
    this.retryable = refused.retryable;
    this.hint = refused.hint;
  }
}

/** No answer came: the connection broke, or it took too long. Whether the command was followed is not known; the events say. */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
}
