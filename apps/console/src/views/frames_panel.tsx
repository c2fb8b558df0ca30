import { useId, useState } from "preact/hooks";
import { MAX_FRAMES, type Frame } from "../app/frames.ts";
import { memo } from "./memo.ts";
import { Pre } from "./text.tsx";

const ARROWS = { in: "←", out: "→", ack: "⇐" };
const WORDS = { in: "received", out: "sent", ack: "answer to" };
/** As many characters of a frame are shown. */
const LONGEST = 10_000;

/** What went over the connection, the last first. The handshake with its token is no event and is not here. */
export function FramesPanel({ frames, clear }: { frames: readonly Frame[]; clear(): void }) {
  const [wanted, setWanted] = useState("");
  const [frozen, setFrozen] = useState<readonly Frame[] | undefined>();
  const id = useId();
  const shown = (frozen ?? frames).filter((frame) => frame.name.includes(wanted)).toReversed();
  return (
    <>
      <h2>Frames</h2>
      <p class="quiet">The last {MAX_FRAMES} events over the connection.</p>
      <div class="actions">
        <label for={id}>Only names with</label>
        <input id={id} type="search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
        <button
          type="button"
          aria-pressed={frozen !== undefined}
          onClick={() => setFrozen(frozen ? undefined : frames)}
        >
          Pause
        </button>
        <button type="button" onClick={clear}>
          Clear
        </button>
      </div>
      <div class="frames">
        {shown.map((frame) => (
          <FrameView key={frame.number} frame={frame} />
        ))}
      </div>
    </>
  );
}

const FrameView = memo(function FrameView({ frame }: { frame: Frame }) {
  const [open, setOpen] = useState(false);
  const { direction, name, meta, payload, at } = frame;
  return (
    <details class="frame" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span aria-hidden="true">{ARROWS[direction]}</span>
        <span class="hidden">{WORDS[direction]}</span> <code>{name}</code>{" "}
        <span class="quiet">
          {meta?.id} {new Date(at).toISOString().slice(11, 23)}
        </span>
      </summary>
      {open && <Pre label={`Frame ${name}`} text={written({ payload, meta })} kind="json" />}
    </details>
  );
});

function written(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${text.length} characters in all` : text;
}
