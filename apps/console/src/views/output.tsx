import { useState } from "preact/hooks";
import type { Content } from "../contract.ts";
import { Pre } from "./text.tsx";

/** As many characters of an output are drawn before somebody asks for the rest. */
const SHOWN = 20_000;

const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

/** What a tool gave back. */
export function Output({ content }: { content: readonly Content[] }) {
  if (content.length === 0) return <p class="quiet">It gave nothing back.</p>;
  return (
    <>
      {content.map((part, index) => (
        <OutputPart key={index} part={part} />
      ))}
    </>
  );
}

function OutputPart({ part }: { part: Content }) {
  if (part.type === "text" && "text" in part && typeof part.text === "string") return <LongText text={part.text} />;
  if (part.type === "image" && "data" in part && typeof part.data === "string" && typeof part.mimeType === "string") {
    const isImage = IMAGES.has(part.mimeType) && /^[A-Za-z0-9+/]+={0,2}$/.test(part.data);
    if (isImage)
      return <img src={`data:${part.mimeType};base64,${part.data}`} alt="An image that the tool gave back" />;
    return <p class="quiet">An image that cannot be shown ({part.mimeType}).</p>;
  }
  return <LongText text={JSON.stringify(part, null, 2)} />;
}

function LongText({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const isCut = !all && text.length > SHOWN;
  return (
    <>
      <Pre label="Output" text={isCut ? text.slice(0, SHOWN) : text} />
      {isCut && (
        <button type="button" class="small" onClick={() => setAll(true)}>
          Show all {text.length.toLocaleString("en")} characters
        </button>
      )}
    </>
  );
}
