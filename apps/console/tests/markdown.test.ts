import { describe, expect, test } from "vitest";
import { parse, safeHref, type Block, type Inline } from "../src/text/markdown.ts";

/** All that is shown, links with where they lead. */
function flat(nodes: readonly (Block | Inline)[]): string {
  return nodes
    .map((node) => {
      if (node.kind === "link") return `<${node.href}>${flat(node.children)}`;
      if (node.kind === "list") return node.items.map((item) => flat(item.children)).join("|");
      if (node.kind === "table") return [node.head, ...node.rows].map((row) => row.map(flat).join(",")).join("|");
      return "text" in node ? node.text : "children" in node ? flat(node.children) : "";
    })
    .join("");
}

function hrefs(nodes: readonly (Block | Inline)[]): string[] {
  return nodes.flatMap((node) => [
    ...(node.kind === "link" ? [node.href] : []),
    ...("children" in node ? hrefs(node.children) : []),
    ...(node.kind === "list" ? node.items.flatMap((item) => hrefs(item.children)) : []),
  ]);
}

test("the usual things are what they are", () => {
  const kinds = parse(
    "# a\n\nb **c** *d* ~~e~~ `f`\n\n- g\n- [x] h\n\n> i\n\n```js\nj\n```\n\n---\n\n|k|l|\n|-|-|\n|m|n|",
  );
  expect(kinds.map((block) => block.kind)).toEqual(["heading", "paragraph", "list", "quote", "code", "rule", "table"]);
  expect(kinds[1]).toEqual({
    kind: "paragraph",
    children: [
      { kind: "text", text: "b " },
      { kind: "strong", children: [{ kind: "text", text: "c" }] },
      { kind: "text", text: " " },
      { kind: "emphasis", children: [{ kind: "text", text: "d" }] },
      { kind: "text", text: " " },
      { kind: "deleted", children: [{ kind: "text", text: "e" }] },
      { kind: "text", text: " " },
      { kind: "code", text: "f" },
    ],
  });
  expect(kinds[2]).toMatchObject({ items: [{ done: undefined }, { done: true }] });
  expect(flat(kinds.slice(2, 3))).toBe("g|h");
  expect(kinds[4]).toEqual({ kind: "code", language: "js", text: "j" });
  expect(kinds[6]).toMatchObject({ head: [[{ text: "k" }], [{ text: "l" }]] });
});

test("text is not escaped twice, and an entity is no way in", () => {
  expect(flat(parse("a < b && c > \"d\" 'e' `<x>&amp;`"))).toBe("a < b && c > \"d\" 'e' <x>&amp;");
  expect(hrefs(parse("[a](java&#115;cript:alert(1)) [b](&#106;avascript:x)"))).toEqual([]);
});

describe("nothing that a model writes becomes more than text", () => {
  const attacks = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "a <b onclick=x>b</b>",
    "<iframe src='https://evil.example'></iframe>",
    "<style>*{display:none}</style>",
    "<a href='javascript:x'>y</a>",
    "<!-- <x> -->",
    "<?php x ?>",
    "<![CDATA[x]]>",
    "![alt](https://evil.example/pixel.png)",
    '![a](x "onerror=1")',
  ];
  test.each(attacks)("%s", (attack) => {
    const blocks = parse(attack);
    expect(flat(blocks).replaceAll(/<https?:[^>]*>/g, "")).toContain(attack);
    expect(hrefs(blocks)).toEqual([]);
  });

  const schemes = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "\u0001javascript:alert(1)",
    "data:text/html,<script>1</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://a/b",
    "//evil.example",
    "/socket.io/",
    "#token=x",
    "intent://x",
    "",
  ];
  test.each(schemes)("no link leads to %j", (scheme) => {
    expect(safeHref(scheme)).toBeUndefined();
    expect(hrefs(parse(`[a](<${scheme}>) [b](${scheme}) [c][d]\n\n[d]: <${scheme}>`))).toEqual([]);
  });
});

test("a link says where it leads, whatever its text says", () => {
  expect(flat(parse("[https://bank.example](https://evil.example/)"))).toBe(
    "<https://evil.example/>https://bank.example (https://evil.example/)",
  );
  expect(flat(parse("[https://a.example/b](https://a.example/b)"))).toBe("<https://a.example/b>https://a.example/b");
  const nested = hrefs(parse("- [a](https://a.example)\n  > <b@c.example>"));
  expect(nested).toEqual(["https://a.example/", "mailto:b@c.example"]);
});

test("an address that only stands there is no link", () => {
  expect(hrefs(parse("see https://a.example/?q=secret and www.b.example and c@d.example"))).toEqual([]);
});

test("nesting without end ends, and so does what is only begun", () => {
  for (const text of [">".repeat(5_000) + " a", "- ".repeat(2_000) + "a", "*a".repeat(5_000), "[".repeat(5_000)]) {
    expect(flat(parse(text)).length).toBeGreaterThan(0);
  }
  expect(parse("```sh\necho un")).toEqual([{ kind: "code", language: "sh", text: "echo un" }]);
  expect(parse("")).toEqual([]);
});

test("deep marks are shown as they were written", () => {
  const deep = parse("**".repeat(40) + "a" + "**".repeat(40));
  expect(flat(deep)).toContain("**a**");
  expect(flat(parse("> ".repeat(40) + "a"))).toContain("> > a");
});

test("an image is shown as it was written, and its address is no link", () => {
  const text = 'see ![a *b*](https://evil.example/p.png "t") and ![c](x)';
  expect(flat(parse(text))).toBe('see ![a b](https://evil.example/p.png "t") and ![c](x)');
  expect(hrefs(parse(text))).toEqual([]);
});
