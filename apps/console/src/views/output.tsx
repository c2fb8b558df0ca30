import { useState } from "preact/hooks";
import type { Content } from "../contract.ts";
import { imageType } from "../text/image_type.ts";
import { Pre, Visible } from "./text.tsx";

/** As many characters of an output are drawn before somebody asks for the rest. */
const SHOWN = 20_000;

interface Props {
  content: readonly Content[];
  of?: string;
  /** As many characters of a text are drawn at first. */
  most?: number;
}

/** What a tool gave back, or what a file holds. */
export function Output({ content, of = "a tool", most = SHOWN }: Props) {
  if (content.length === 0) return <p class="quiet">It gave nothing back.</p>;
  return (
    <>
      {content.map((part, index) => (
        <OutputPart key={index} part={part} of={of} most={most} />
      ))}
    </>
  );
}

function OutputPart({ part, of, most }: { part: Content; of: string; most: number }) {
  if (part.type === "text" && "text" in part && typeof part.text === "string")
    return <LongText text={part.text} most={most} />;
  if (part.type === "image" && "data" in part && typeof part.data === "string" && typeof part.mimeType === "string") {
    const type = imageType(part.data);
    if (type !== undefined) return <img src={`data:${type};base64,${part.data}`} alt={`An image out of ${of}`} />;
    return (
      <p class="quiet">
        An image that cannot be shown (<Visible text={part.mimeType} />
        ).
      </p>
    );
  }
  return <LongText text={JSON.stringify(part, null, 2)} most={most} />;
}

function LongText({ text, most }: { text: string; most: number }) {
  const [all, setAll] = useState(false);
  const isCut = !all && text.length > most;
  return (
    <>
      <Pre label="Output" text={isCut ? text.slice(0, most) : text} />
      {isCut && (
        <button type="button" class="small" onClick={() => setAll(true)}>
          Show all {text.length.toLocaleString("en")} characters
        </button>
      )}
    </>
  );
}
