import type { Line } from "../session/difference.ts";
import { visibleText } from "../text/visible.ts";
import { Visible } from "./text.tsx";

/** What one of two texts has and the other has not, line by line. */
export function Lines({ name, lines }: { name: string; lines: readonly Line[] }) {
  return (
    <pre tabIndex={0} role="group" aria-label={`Difference in ${visibleText(name)}`}>
      {lines.map((line, index) => (
        <span key={index} class="line" data-sign={line.sign}>
          {line.sign} <Visible text={line.text} />
        </span>
      ))}
    </pre>
  );
}
