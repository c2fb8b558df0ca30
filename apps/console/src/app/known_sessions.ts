// The sessions that this browser has opened: ids and times, and nothing that was said in them.

export interface KnownSession {
  readonly id: string;
  readonly usedAt: number;
}

const KEY = "lockkeeper.sessions";
const MOST = 50;

export function knownSessions(storage: Storage): readonly KnownSession[] {
  try {
    const kept: unknown = JSON.parse(storage.getItem(KEY) ?? "[]");
    const isKnown = (each: unknown): each is KnownSession =>
      typeof each === "object" &&
      each !== null &&
      "id" in each &&
      typeof each.id === "string" &&
      /^[A-Za-z0-9_-]{1,128}$/.test(each.id) &&
      "usedAt" in each &&
      typeof each.usedAt === "number";
    return Array.isArray(kept) ? kept.filter(isKnown) : [];
  } catch {
    return [];
  }
}

/** With this session as the last one that was used. */
export function remember(storage: Storage, id: string, usedAt: number): readonly KnownSession[] {
  const others = knownSessions(storage).filter((each) => each.id !== id);
  return put(storage, [{ id, usedAt }, ...others].slice(0, MOST));
}

/** Without this session. It goes on to exist on the server. */
export function forget(storage: Storage, id: string): readonly KnownSession[] {
  return put(
    storage,
    knownSessions(storage).filter((each) => each.id !== id),
  );
}

function put(storage: Storage, sessions: readonly KnownSession[]): readonly KnownSession[] {
  storage.setItem(KEY, JSON.stringify(sessions));
  return sessions;
}
