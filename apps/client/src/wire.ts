// What the generated types come to when events go over a socket.

import type { Answers, ClientEvents, Meta, Refused, ServerEvents } from "./events.ts";

/** An event from the server. */
export type ServerEvent = {
  [Name in keyof ServerEvents]: { name: Name; payload: ServerEvents[Name]; meta: Meta };
}[keyof ServerEvents];

/** What a client may send. */
export type Command = keyof ClientEvents;

/** The payload of a command, as an argument: none for those that have none. */
export type Payload<Name extends Command> = ClientEvents[Name] extends null ? [] : ArgumentOf<Name>;
type ArgumentOf<Name extends Command> = undefined extends ClientEvents[Name]
  ? [payload?: ClientEvents[Name]]
  : [payload: ClientEvents[Name]];

/** An acknowledgement. */
export type Answer<Name extends Command> = Answers[Name] | Refused;

/** As much of a socket of socket.io-client as a session needs, so that tests can stand in for it. */
export interface SocketLike {
  readonly connected: boolean;
  connect(): unknown;
  disconnect(): unknown;
  on(event: "connect", listener: () => void): unknown;
  on(event: "connect_error", listener: (error: Error) => void): unknown;
  on(event: "disconnect", listener: (reason: string) => void): unknown;
  onAny(listener: (name: string, ...args: unknown[]) => void): unknown;
  off(): unknown;
  offAny(): unknown;
  timeout(milliseconds: number): { emitWithAck(name: string, ...args: unknown[]): Promise<unknown> };
}
