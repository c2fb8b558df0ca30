// Messages on their way. The same `clientMessageId` twice is one message, so what was not acknowledged is sent again.

export interface Outgoing {
  readonly id: string;
  readonly text: string;
  /** `waiting` for a connection, `sent` without an answer yet, `accepted` and not yet in the log, or `refused`. */
  readonly state: "waiting" | "sent" | "accepted" | "refused";
  readonly problem?: string;
}

export type Outbox = readonly Outgoing[];

export function marked(outbox: Outbox, id: string, state: Outgoing["state"], problem?: string): Outbox {
  return outbox.map((each) =>
    each.id === id ? { id, text: each.text, state, ...(problem === undefined ? {} : { problem }) } : each,
  );
}

export function without(outbox: Outbox, ids: ReadonlySet<string | undefined>): Outbox {
  return outbox.some((each) => ids.has(each.id)) ? outbox.filter((each) => !ids.has(each.id)) : outbox;
}

/** The connection broke: what has no answer is to be sent again, and an accepted message is stored whatever happened. */
export function afterBreak(outbox: Outbox): Outbox {
  return outbox.map((each) => (each.state === "sent" ? { ...each, state: "waiting" } : each));
}

const PREFIX = "lockkeeper.outbox.";

/** Keeps what is on its way over a reload of the page. */
export function save(storage: Storage, session: string, outbox: Outbox): void {
  if (outbox.length === 0) storage.removeItem(PREFIX + session);
  else storage.setItem(PREFIX + session, JSON.stringify(outbox.map(({ id, text }) => ({ id, text }))));
}

/** What was kept for this session. */
export function restored(storage: Storage, session: string): Outbox {
  try {
    const kept: unknown = JSON.parse(storage.getItem(PREFIX + session) ?? "[]");
    const isKept = (each: unknown): each is { id: string; text: string } =>
      typeof each === "object" && each !== null && "id" in each && "text" in each && typeof each.text === "string";
    return Array.isArray(kept) ? kept.filter(isKept).map(({ id, text }) => ({ id, text, state: "waiting" })) : [];
  } catch {
    return [];
  }
}
