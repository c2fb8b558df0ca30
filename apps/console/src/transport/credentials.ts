// Where the token and the session come from, and where they stay.

/** What the console needs of a browser's window, so that tests can stand in for it. */
export interface Place {
  readonly location: { readonly href: string };
  readonly history: { replaceState(data: unknown, unused: string, url: string): void };
  readonly sessionStorage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
}

const TOKEN = "lockkeeper.token";

/** Takes a token out of the address, before anything else can read it there, and keeps it for this tab. */
export function takeToken(place: Place): void {
  const url = new URL(place.location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const token = fragment.get("token") ?? url.searchParams.get("token");
  if (!fragment.has("token") && !url.searchParams.has("token")) return;
  fragment.delete("token");
  url.searchParams.delete("token");
  url.hash = fragment.toString();
  place.history.replaceState(null, "", url.href.replace(/#$/, ""));
  keepToken(place, token ?? "");
}

/** Keeps a token for this tab; an empty one is none. */
export function keepToken(place: Place, token: string): void {
  if (token.trim() === "") place.sessionStorage.removeItem(TOKEN);
  else place.sessionStorage.setItem(TOKEN, token.trim());
}

/** The token of this tab. */
export function token(place: Place): string | undefined {
  return place.sessionStorage.getItem(TOKEN) ?? undefined;
}

/** The session that the address names, where it is one: `#session=ID`. */
export function sessionInAddress(place: Place): string | undefined {
  const id = new URLSearchParams(new URL(place.location.href).hash.slice(1)).get("session") ?? "";
  return /^[A-Za-z0-9_-]{1,128}$/.test(id) ? id : undefined;
}

/** Names the session in the address, so that a reload comes back to it; none for a new one. */
export function nameSession(place: Place, id: string | undefined): void {
  const url = new URL(place.location.href);
  url.hash = id === undefined ? "" : `session=${id}`;
  if (url.href !== place.location.href) place.history.replaceState(null, "", url.href.replace(/#$/, ""));
}
