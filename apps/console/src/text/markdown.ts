// Markdown as a tree of the few things that the console shows. HTML is text here, and nothing is ever loaded: no images, and
// links to web pages and mail addresses alone.

import { Marked, type Token, type Tokens } from "marked";

export type Inline =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "strong" | "emphasis" | "deleted"; readonly children: readonly Inline[] }
  | { readonly kind: "link"; readonly href: string; readonly children: readonly Inline[] }
  | { readonly kind: "break" };

export type Block =
  | { readonly kind: "paragraph"; readonly children: readonly Inline[] }
  | { readonly kind: "heading"; readonly level: number; readonly children: readonly Inline[] }
  | { readonly kind: "code"; readonly language: string; readonly text: string }
  | { readonly kind: "quote"; readonly children: readonly Block[] }
  | {
      readonly kind: "list";
      readonly start: number | undefined;
      readonly items: readonly { readonly done: boolean | undefined; readonly children: readonly Block[] }[];
    }
  | { readonly kind: "table"; readonly head: readonly Inline[][]; readonly rows: readonly Inline[][][] }
  | { readonly kind: "rule" };

const lexer = new Marked({ gfm: true });

/** Deeper than this, what is nested is shown as it was written. */
const MAX_DEPTH = 16;

/** The text as blocks. Whatever is written, this returns. */
export function parse(text: string): Block[] {
  try {
    return blocks(lexer.lexer(text), 0);
  } catch {
    return [{ kind: "paragraph", children: [{ kind: "text", text }] }];
  }
}

/** The address that a link may lead to: a web page or a mail address, and nothing that runs or reads anything. */
export function safeHref(href: string): string | undefined {
  // What URL parsers drop or skip must not decide what the scheme is.
  if (/[\0-\x20\x7f]/.test(href)) return undefined;
  try {
    const url = new URL(href);
    return ["https:", "http:", "mailto:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

function blocks(tokens: readonly Token[], depth: number): Block[] {
  return tokens.flatMap((token) => block(token as Tokens.Generic, depth));
}

function block(token: Tokens.Generic, depth: number): Block[] {
  const raw = (): Block[] => [{ kind: "paragraph", children: [{ kind: "text", text: token.raw.trimEnd() }] }];
  if (depth > MAX_DEPTH) return raw();
  switch (token.type) {
    case "space":
    case "def":
    case "checkbox":
      return [];
    case "hr":
      return [{ kind: "rule" }];
    case "heading":
      return [{ kind: "heading", level: Number(token["depth"]), children: inlines(token.tokens, depth) }];
    case "paragraph":
      return [{ kind: "paragraph", children: inlines(token.tokens, depth) }];
    case "text":
      return [{ kind: "paragraph", children: token.tokens ? inlines(token.tokens, depth) : literal(token) }];
    case "code":
      return [{ kind: "code", language: String(token["lang"] ?? ""), text: String(token["text"]) }];
    case "blockquote":
      return [{ kind: "quote", children: blocks(token.tokens ?? [], depth + 1) }];
    case "list":
      return [list(token as Tokens.List, depth)];
    case "table":
      return [table(token as Tokens.Table, depth)];
    default:
      return raw();
  }
}

function list(token: Tokens.List, depth: number): Block {
  const items = token.items.map((item) => ({
    done: item.task ? item.checked === true : undefined,
    children: blocks(item.tokens, depth + 1),
  }));
  return { kind: "list", start: token.ordered ? Number(token.start) || 1 : undefined, items };
}

function table(token: Tokens.Table, depth: number): Block {
  const cells = (row: readonly Tokens.TableCell[]) => row.map((cell) => inlines(cell.tokens, depth));
  return { kind: "table", head: cells(token.header), rows: token.rows.map(cells) };
}

function inlines(tokens: readonly Token[] | undefined, depth: number): Inline[] {
  return (tokens ?? []).flatMap((token) => inline(token as Tokens.Generic, depth + 1));
}

function inline(token: Tokens.Generic, depth: number): Inline[] {
  if (depth > MAX_DEPTH) return literal(token);
  switch (token.type) {
    case "strong":
      return [{ kind: "strong", children: inlines(token.tokens, depth) }];
    case "em":
      return [{ kind: "emphasis", children: inlines(token.tokens, depth) }];
    case "del":
      return [{ kind: "deleted", children: inlines(token.tokens, depth) }];
    case "codespan":
      return [{ kind: "code", text: String(token["text"]) }];
    case "br":
      return [{ kind: "break" }];
    case "link":
      return link(token, depth);
    case "text":
      return token.tokens ? inlines(token.tokens, depth) : [{ kind: "text", text: String(token["text"]) }];
    case "escape":
      return [{ kind: "text", text: String(token["text"]) }];
    case "checkbox":
      return [];
    default:
      // HTML and images, above all: as they were written.
      return literal(token);
  }
}

/** A link says where it leads, unless its text does: a page must not be able to pass for another. */
function link(token: Tokens.Generic, depth: number): Inline[] {
  const href = safeHref(String(token["href"]));
  // An address that merely stands in the text is left as text: whoever wrote it may have been made to.
  if (href === undefined || !/^[[<]/.test(token.raw)) return literal(token);
  const text = String(token["text"]);
  const children = inlines(token.tokens, depth);
  const says = [href, href.replace(/\/$/, ""), href.replace(/^mailto:/, "")].includes(text);
  const shown: Inline[] = says ? [] : [{ kind: "text", text: ` (${href})` }];
  return [{ kind: "link", href, children }, ...shown];
}

function literal(token: Tokens.Generic): Inline[] {
  return [{ kind: "text", text: token.raw }];
}
