// One file: a text part by part, or an image.

import { useEffect, useState } from "preact/hooks";
import type { Controller } from "../app/controller.ts";
import type { Content, FilePart } from "../contract.ts";
import { words } from "./asked.ts";
import { bytes } from "./bytes.ts";
import { Output } from "./output.tsx";
import { Visible } from "./text.tsx";

interface Props {
  path: string;
  /** Another number wants the file to be read again. */
  looks: number;
  controller: Controller;
  close(): void;
}

/** As many bytes of a text are shown. */
const MOST_BYTES = 512 * 1024;

export function FilePreview({ path, looks, controller, close }: Props) {
  const [parts, setParts] = useState<readonly FilePart[]>([]);
  const [problem, setProblem] = useState<string | undefined>();
  const read = (offset: number, before: readonly FilePart[], isWanted: () => boolean): Promise<void> =>
    controller.ask("workspace:read", { path, offset }).then(
      (part) => {
        if (!isWanted()) return;
        setParts([...before, part]);
        setProblem(undefined);
      },
      (error: unknown) => {
        if (isWanted()) setProblem(words(error));
      },
    );
  useEffect(() => {
    let wanted = true;
    void read(0, [], () => wanted);
    return () => void (wanted = false);
  }, [path, looks]);
  const next = parts.at(-1)?.nextOffset;
  return (
    <section class="preview" aria-label={`File ${path}`}>
      <header>
        <h3>
          <Visible text={path} />
        </h3>
        <button type="button" class="small" onClick={close}>
          Close<span class="hidden"> the file</span>
        </button>
      </header>
      {problem !== undefined && (
        <p class="problem">
          <Visible text={problem} />
        </p>
      )}
      {problem === undefined && parts.length === 0 && <p class="quiet">Reading</p>}
      {parts.length > 0 && <Output content={whole(parts)} of="the file" most={Number.POSITIVE_INFINITY} />}
      {next !== undefined && next < MOST_BYTES && (
        <button type="button" class="small" onClick={() => void read(next, parts, () => true)}>
          Read on after {bytes(next)}
        </button>
      )}
      {next !== undefined && next >= MOST_BYTES && (
        <p class="quiet">The file goes on after {bytes(next)}, which is as much as is shown here.</p>
      )}
    </section>
  );
}

/** The parts of a text as one text; an image is one part. */
function whole(parts: readonly FilePart[]): Content[] {
  const content = parts.flatMap((part) => part.content);
  const texts = content.map((part) => (part.type === "text" && "text" in part ? part.text : undefined));
  if (texts.some((text) => typeof text !== "string")) return content;
  return [{ type: "text", text: texts.join("") }];
}
