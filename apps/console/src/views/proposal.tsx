// What a call would do: its arguments in full, how much that is, and what is different from the last time.

import { difference, finalArgs, type Change } from "../session/difference.ts";
import { argsText, type Call } from "../session/state.ts";
import { Lines } from "./lines.tsx";
import { Arguments, Pre, Visible } from "./text.tsx";

interface Props {
  call: Call;
  previous: Call | undefined;
  bytes: number;
  /** What stands for the whole of it, for people to compare. */
  fingerprint: string | undefined;
  /** Whether all of the arguments are shown. */
  isSeen: boolean;
  expand(): void;
}

const NUMBER = new Intl.NumberFormat("en");
/** As many characters of long arguments are shown before somebody asks for the rest. */
const BEGINNING = 600;

export function Proposal({ call, previous, bytes, fingerprint, isSeen, expand }: Props) {
  return (
    <div class="proposal">
      {isSeen ? (
        <Arguments json={argsText(call)} />
      ) : (
        <>
          <Pre label="The beginning of the arguments" text={`${argsText(call).slice(0, BEGINNING)} …`} />
          <button type="button" onClick={expand}>
            Show all {NUMBER.format(bytes)} bytes of the arguments
          </button>
        </>
      )}
      <p class="quiet">
        Arguments: {NUMBER.format(bytes)} bytes.
        {fingerprint !== undefined && (
          <>
            {" "}
            Fingerprint <code>{fingerprint}</code>.
          </>
        )}
      </p>
      {previous && isSeen && <Difference changes={difference(finalArgs(previous), argsText(call))} />}
    </div>
  );
}

function Difference({ changes }: { changes: readonly Change[] }) {
  const differing = changes.filter((change) => change.kind !== "same");
  if (differing.length === 0) return <p class="quiet">The last call of this tool had the same arguments.</p>;
  return (
    <details class="difference">
      <summary>
        Unlike the last call of this tool:{" "}
        {differing.map((change, index) => (
          <span key={change.name}>
            {index > 0 && ", "}
            <code>
              <Visible text={change.name} />
            </code>{" "}
            {{ new: "is new", gone: "is gone", changed: "differs", same: "" }[change.kind]}
          </span>
        ))}
      </summary>
      {differing.map(
        (change) => "lines" in change && <Lines key={change.name} name={change.name} lines={change.lines} />,
      )}
    </details>
  );
}
