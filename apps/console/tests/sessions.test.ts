import { afterEach, expect, test, vi } from "vitest";
import { deleteSession, endSession, listSessions } from "../src/transport/sessions.ts";
import { linkState } from "../src/views/link_state.ts";

afterEach(() => vi.unstubAllGlobals());

/** A server that answers so; returns what it was asked. */
function server(status: number, body: unknown): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    const { authorization = "nobody" } = (init.headers ?? {}) as Record<string, string>;
    asked.push(`${init.method} ${path} ${authorization}`);
    return Promise.resolve(new Response(JSON.stringify(body), { status }));
  });
  return asked;
}

test("sessions are listed, ended and deleted with the user's own token", async () => {
  const sessions = [{ sessionId: "a" }];
  const asked = server(200, { sessions });
  expect((await listSessions("t")).sessions).toEqual(sessions);
  await endSession("a", "t");
  await deleteSession("a/b", undefined);
  expect(asked).toEqual([
    "GET /api/sessions Bearer t",
    "POST /api/sessions/a/end Bearer t",
    "DELETE /api/sessions/a%2Fb nobody",
  ]);
});

test("a refusal is told in the server's words", async () => {
  server(403, { code: "forbidden", message: "No such session of yours.", hint: "Look at the list." });
  await expect(deleteSession("a", "t")).rejects.toThrow("No such session of yours. Look at the list.");
  server(500, {});
  await expect(listSessions("t")).rejects.toThrow("The server answered with 500.");
});

test("a refusal is no broken connection", () => {
  const refused = { kind: "refused", reason: "You have as many as are allowed.", code: "rate_limited" } as const;
  expect(linkState({ ...refused, returns: true })).toBe("Refused, trying again");
  expect(linkState({ ...refused, returns: false })).toBe("Refused");
  expect(linkState({ kind: "lost", problem: "" })).toBe("Reconnecting");
});
