import type { Link } from "../app/controller.ts";

/** The connection in a few words. */
export function linkState(link: Link): string {
  switch (link.kind) {
    case "connecting":
      return "Connecting";
    case "starting":
      return "Starting the session";
    case "ready":
      return "Connected";
    case "lost":
      return "Reconnecting";
    case "refused":
      return link.returns ? "Refused, trying again" : "Refused";
  }
}
