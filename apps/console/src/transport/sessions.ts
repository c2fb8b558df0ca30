// A user's sessions over HTTP, for when no session can be opened: at the limit of sessions, this is the way to make room.

import type { Answers } from "../contract.ts";

type Request = "list" | { readonly end: string } | { readonly remove: string };

/** Asks the server. It fails with the server's words, or with those of the browser. */
async function ask(request: Request, token: string | undefined, patience = 20_000): Promise<unknown> {
  const [method, path] =
    request === "list"
      ? ["GET", "/api/sessions"]
      : "end" in request
        ? ["POST", `/api/sessions/${encodeURIComponent(request.end)}/end`]
        : ["DELETE", `/api/sessions/${encodeURIComponent(request.remove)}`];
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(patience) });
  const answer = (await response.json().catch(() => ({}))) as { message?: unknown; hint?: unknown };
  if (response.ok) return answer;
  const words = [answer.message, answer.hint].filter((each) => typeof each === "string");
  throw new Error(words.length > 0 ? words.join(" ") : `The server answered with ${response.status}.`);
}

/** The sessions of whoever has the token, the last used first. */
export async function listSessions(token: string | undefined): Promise<Answers["session:list"]> {
  const answer = (await ask("list", token)) as Answers["session:list"];
  return { ok: true, sessions: Array.isArray(answer.sessions) ? answer.sessions : [] };
}

/** Ends a session: its sandbox goes, its history stays. */
export async function endSession(id: string, token: string | undefined): Promise<void> {
  await ask({ end: id }, token);
}

/** Deletes a session for good. */
export async function deleteSession(id: string, token: string | undefined): Promise<void> {
  await ask({ remove: id }, token);
}
