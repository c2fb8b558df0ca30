// Text of strangers, always as text.

import { laidOut, members, shown } from "../text/exact.ts";
import { readable, visible, type Part } from "../text/visible.ts";

/** With all that is not seen made visible: for what is decided upon and for what tools say. */
export function Visible({ text }: { text: string }) {
  return <>{visible(text).map(part)}</>;
}

/** Running text of any language. */
export function Readable({ text }: { text: string }) {
  return <>{readable(text).map(part)}</>;
}

function part(part: Part, index: number) {
  if ("text" in part) return part.text;
  return (
    <span key={index} class="mark" title="A character that is not seen">
      {part.mark}
    </span>
  );
}

/** Arguments in full, each under its name: texts as they are, everything else as the JSON that was written. */
export function Arguments({ json }: { json: string }) {
  const entries = members(json);
  if (entries === undefined) return <Pre label="Arguments" text={laidOut(json)} />;
  if (entries.length === 0) return <p class="quiet">No arguments.</p>;
  return (
    <dl class="arguments">
      {entries.map(([name, value], index) => (
        <div key={index}>
          <dt>
            <Visible text={name} />
          </dt>
          <dd>
            <Pre label={`Argument ${name}`} text={shown(value).text} kind={shown(value).isText ? "" : "json"} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** A text in its own lines; it scrolls, and so can be reached by the keyboard. */
export function Pre({ text, label, kind = "" }: { text: string; label: string; kind?: string }) {
  return (
    <pre class={kind} tabIndex={0} role="group" aria-label={label}>
      {text === "" ? <span class="quiet">(empty)</span> : <Visible text={text} />}
    </pre>
  );
}
