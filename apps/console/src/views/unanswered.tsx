import type { Asked } from "./asked.ts";
import { Visible } from "./text.tsx";

/** What stands in the place of an answer: that the server is being asked, or why there is none. */
export function Unanswered({ asked }: { asked: Asked<unknown> }) {
  if (asked.kind === "there") return null;
  if (asked.kind === "waiting") return <p class="quiet">Asking</p>;
  return (
    <p class="quiet boxed">
      <Visible text={asked.problem} />
    </p>
  );
}
