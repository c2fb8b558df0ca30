// What a screen reader is told, of all that happens: little, and each thing once.

import type { ServerEvent } from "../contract.ts";
import { visibleText } from "../text/visible.ts";

const LONGEST = 400;

/** The words for an event that has just happened; none for most. */
export function announcement(event: ServerEvent): string | undefined {
  switch (event.name) {
    case "agent:response":
      return event.payload === "" ? undefined : `Answer: ${short(event.payload)}`;
    case "agent:error":
      return `Error: ${short(event.payload.message)}`;
    case "tool:approval_required": {
      const { name, server, queuePosition, totalInQueue } = event.payload;
      const place = totalInQueue > 1 ? `, ${queuePosition} of ${totalInQueue}` : "";
      return `${visibleText(name)} of ${visibleText(server ?? "no server")} waits for your approval${place}.`;
    }
    case "tool:approval_resolved":
      return `The call is ${event.payload.decision}.`;
    case "tool:error":
      return `${visibleText(event.payload.name)} failed.`;
    case "tool:quarantined":
      return `${visibleText(event.payload.name)} is not what it was, and is held back.`;
    case "session:expired":
      return `The sandbox was removed. ${short(event.payload.reason)}`;
    default:
      return undefined;
  }
}

function short(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text;
}
