import type { Progress } from "../contract.ts";
import { Visible } from "./text.tsx";

/** How a sandbox starts. */
export function Stages({ stages }: { stages: readonly Progress[] }) {
  return (
    <ul class="stages">
      {stages.map((each) => (
        <li key={each.stage} data-status={each.status}>
          <Visible text={each.message || each.stage} />{" "}
          <span class="quiet">
            {each.status}, {(each.elapsedMs / 1_000).toFixed(1)} s
          </span>
          {each.total !== undefined && each.current !== undefined && each.status === "running" && (
            <progress value={each.current} max={each.total} aria-label={each.stage} />
          )}
        </li>
      ))}
    </ul>
  );
}
