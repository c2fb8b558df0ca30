import { h, type ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import type { Block, Inline } from "../text/markdown.ts";
import { Streamed } from "../text/streamed.ts";
import { memo } from "./memo.ts";
import { Readable } from "./text.tsx";

/** The text as what its marks mean; what is not parsed yet, as it is written. */
export function MarkdownBlocks({ text, isOpen }: { text: string; isOpen: boolean }) {
  const streamed = useRef<Streamed | null>(null);
  streamed.current ??= new Streamed();
  const { blocks, rest } = streamed.current.show(text, isOpen);
  return (
    <>
      {blocks.map((node, index) => (
        <BlockView key={index} node={node} />
      ))}
      {rest !== "" && (
        <p key="rest" class="plain">
          <Readable text={rest} />
        </p>
      )}
    </>
  );
}

/** A block is drawn once, however often more text comes after it. */
const BlockView = memo(function BlockView({ node }: { node: Block }) {
  return <>{block(node, 0)}</>;
});

function block(node: Block, index: number): ComponentChildren {
  switch (node.kind) {
    case "paragraph":
      return <p key={index}>{node.children.map(inline)}</p>;
    case "heading":
      // Below the page's own headings.
      return h(`h${Math.min(6, node.level + 2)}`, { key: index }, node.children.map(inline));
    case "code":
      return (
        <pre key={index} tabIndex={0} role="group" aria-label={node.language ? `Code, ${node.language}` : "Code"}>
          <code>
            <Readable text={node.text} />
          </code>
        </pre>
      );
    case "quote":
      return <blockquote key={index}>{node.children.map(block)}</blockquote>;
    case "list": {
      const items = node.items.map((item, place) => (
        <li key={place}>
          {item.done === undefined ? null : item.done ? "☑ " : "☐ "}
          {item.children.map(block)}
        </li>
      ));
      return node.start === undefined ? (
        <ul key={index}>{items}</ul>
      ) : (
        <ol key={index} start={node.start}>
          {items}
        </ol>
      );
    }
    case "table":
      return (
        <div key={index} class="scroll" tabIndex={0} role="group" aria-label="Table">
          <table>
            <thead>
              <tr>
                {node.head.map((cell, place) => (
                  <th key={place} scope="col">
                    {cell.map(inline)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {node.rows.map((row, place) => (
                <tr key={place}>
                  {row.map((cell, column) => (
                    <td key={column}>{cell.map(inline)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      );
    case "rule":
      return <hr key={index} />;
  }
}

function inline(node: Inline, index: number): ComponentChildren {
  switch (node.kind) {
    case "text":
      return <Readable key={index} text={node.text} />;
    case "code":
      return (
        <code key={index}>
          <Readable text={node.text} />
        </code>
      );
    case "strong":
      return <strong key={index}>{node.children.map(inline)}</strong>;
    case "emphasis":
      return <em key={index}>{node.children.map(inline)}</em>;
    case "deleted":
      return <del key={index}>{node.children.map(inline)}</del>;
    case "link":
      return (
        <a key={index} href={node.href} target="_blank" rel="noopener noreferrer nofollow">
          {node.children.map(inline)}
        </a>
      );
    case "break":
      return <br key={index} />;
  }
}
