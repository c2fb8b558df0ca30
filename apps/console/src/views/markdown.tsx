import { lazy } from "./lazy.tsx";
import { memo } from "./memo.ts";
import { Readable } from "./text.tsx";

interface Props {
  text: string;
  /** Whether more of the text is to come. */
  isOpen: boolean;
}

// The page can be used before there is anything to read.
const Blocks = lazy(
  () => import("./markdown_blocks.tsx").then((module) => module.MarkdownBlocks),
  ({ text }: Props) => (
    <p class="plain">
      <Readable text={text} />
    </p>
  ),
);

/** What a model says: as it is written, until the code is there that knows Markdown. */
export const Markdown = memo(function Markdown({ text, isOpen }: Props) {
  return (
    <div class="markdown">
      <Blocks text={text} isOpen={isOpen} />
    </div>
  );
});
