// What leads to a card that is out of sight.

import { useEffect, useState } from "preact/hooks";
import type { Call } from "../session/state.ts";

/** Tells of calls that wait for an approval, unless the first of them is in view. Alt+Q leads there as well. */
export function Waiting({ questions }: { questions: readonly Call[] }) {
  const [first] = questions;
  const isSeen = useSeen(first?.callId);
  useJump(first);
  if (first === undefined || isSeen) return null;
  return (
    <div class="waiting">
      <button type="button" aria-keyshortcuts="Alt+Q" title="Alt+Q" onClick={() => jump(first)}>
        {questions.length === 1 ? "A call waits" : `${questions.length} calls wait`} for your approval
      </button>
    </div>
  );
}

/** Whether the buttons of the call's card are in view. */
function useSeen(callId: string | undefined): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    setSeen(false);
    const buttons = cardOf(callId)?.querySelector(".actions");
    if (!buttons) return;
    const observer = new IntersectionObserver(([last]) => setSeen(last?.isIntersecting === true), { threshold: 0.9 });
    observer.observe(buttons);
    return () => observer.disconnect();
  }, [callId]);
  return seen;
}

/** Nothing takes the focus by itself. */
function useJump(call: Call | undefined): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (!event.altKey || event.code !== "KeyQ" || call === undefined) return;
      event.preventDefault();
      jump(call);
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [call]);
}

function jump(call: Call): void {
  const card = cardOf(call.callId);
  card?.scrollIntoView({ block: "nearest" });
  // What is safest to press by mistake comes first.
  (card?.querySelector<HTMLElement>("[data-default]") ?? card)?.focus();
}

function cardOf(callId: string | undefined): HTMLElement | undefined {
  return [...document.querySelectorAll<HTMLElement>(".approval")].find((card) => card.dataset["call"] === callId);
}
