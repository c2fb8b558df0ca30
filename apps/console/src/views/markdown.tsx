import { lazy } from "./lazy.tsx";
import { memo } from "./memo.ts";
import { Readable } from "./text.tsx";

// The page can be used before there is anything to read.
const Blocks = lazy(
  () => import("./markdown_blocks.tsx").then((module) => module.MarkdownBlocks),
  ({ text }: { text: string }) => (
    <p class="plain">
      <Readable text={text} />
    </p>
  ),
);

/** What a model says: as it is written, until the code is there that knows Markdown. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div class="markdown">
      <Blocks text={text} />
    </div>
  );
});
