// Markdown as a tree of the few things that the console shows. HTML is text here, and nothing is ever loaded: no images, and
// links to web pages and mail addresses alone.
//
// Models write what is parsed here, and an answer that took seconds to parse would keep people from denying a call. The
// parser is linear in what it is given; beyond the limits below, text is shown as it was written.

import MarkdownIt, { type Token } from "markdown-it";

export type Inline =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "strong" | "emphasis" | "deleted"; readonly children: readonly Inline[] }
  | { readonly kind: "link"; readonly href: string; readonly children: readonly Inline[] }
  | { readonly kind: "break" };

export interface Item {
  readonly done: boolean | undefined;
  readonly children: readonly Block[];
}

export type Block =
  | { readonly kind: "paragraph"; readonly children: readonly Inline[] }
  | { readonly kind: "heading"; readonly level: number; readonly children: readonly Inline[] }
  | { readonly kind: "code"; readonly language: string; readonly text: string }
  | { readonly kind: "quote"; readonly children: readonly Block[] }
  | { readonly kind: "list"; readonly start: number | undefined; readonly items: readonly Item[] }
  | {
      readonly kind: "table";
      readonly head: readonly (readonly Inline[])[];
      readonly rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { readonly kind: "rule" };

/** A top-level block, and the line of the text that it begins at. */
export interface Placed {
  readonly block: Block;
  readonly line: number;
}

/** Where the parser begins a new line. */
export const NEW_LINE = /\r\n?|\n/;

/** Deeper than this, what is nested is shown as it was written. */
const MAX_DEPTH = 16;
/** A longer text is shown as it was written, in characters. */
export const MAX_LENGTH = 100_000;
/** A text that is more parts than this is shown as it was written: each is an element of the page. */
const MAX_PARTS = 20_000;

const parser = new MarkdownIt({ html: false, linkify: false, typographer: false, maxNesting: 2 * MAX_DEPTH });
// An image would be loaded; without the rule, it is a link after a "!", and that is shown as text.
parser.disable("image");
parser.validateLink = (href) => safeHref(href) !== undefined;

/** The text as blocks. Whatever is written, this returns. */
export function parse(text: string): Block[] {
  return parsePlaced(text).placed.map((placed) => placed.block);
}

/** The same, with places, and with the number of parts that the parser made of it. */
export function parsePlaced(text: string): { readonly placed: readonly Placed[]; readonly parts: number } {
  const plain = [{ block: paragraph(text), line: 0 }];
  if (text.length > MAX_LENGTH) return { placed: plain, parts: 1 };
  try {
    const tokens = parser.parse(text, {});
    const parts = tokens.reduce((sum, token) => sum + 1 + (token.children?.length ?? 0), 0);
    return { placed: parts > MAX_PARTS ? plain : new Builder(text).build(tokens), parts };
  } catch {
    return { placed: plain, parts: 1 };
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

function paragraph(text: string): Block {
  return { kind: "paragraph", children: [{ kind: "text", text }] };
}

/** A container of blocks that is open while tokens are read. */
interface Open {
  readonly type: string;
  readonly children: Block[];
  readonly items: Item[];
  readonly start: number | undefined;
}

/** Makes a tree of the parser's flat tokens, in one pass and without recursion. */
class Builder {
  readonly #lines: readonly string[];
  readonly #root: Placed[] = [];
  readonly #open: Open[] = [];
  #table: { head: (readonly Inline[])[]; rows: (readonly Inline[])[][]; inHead: boolean } | undefined;
  #line = 0;

  constructor(text: string) {
    this.#lines = text.split(NEW_LINE);
  }

  build(tokens: readonly Token[]): Placed[] {
    for (let index = 0; index < tokens.length; index += 1) {
      const token = tokens[index];
      if (token === undefined) continue;
      if (token.level === 0 && token.map && token.nesting >= 0) this.#line = token.map[0];
      const isContainer = /^(?:blockquote|bullet_list|ordered_list|list_item)_open$/.test(token.type);
      if (isContainer && this.#open.length >= MAX_DEPTH) {
        index = this.#asWritten(tokens, index);
        continue;
      }
      this.#take(token, tokens[index - 1]);
    }
    return this.#root;
  }

  #take(token: Token, before: Token | undefined): void {
    switch (token.type) {
      case "blockquote_open":
      case "bullet_list_open":
      case "list_item_open":
        this.#open.push({ type: token.type, children: [], items: [], start: undefined });
        break;
      case "ordered_list_open":
        this.#open.push({ type: token.type, children: [], items: [], start: Number(token.attrGet("start") ?? 1) || 1 });
        break;
      case "blockquote_close":
      case "bullet_list_close":
      case "ordered_list_close":
      case "list_item_close":
        this.#close();
        break;
      case "inline":
        this.#inline(token, before);
        break;
      case "fence":
      case "code_block":
        this.#put({
          kind: "code",
          language: token.info.trim().split(/\s/)[0] ?? "",
          text: token.content.replace(/\n$/, ""),
        });
        break;
      case "hr":
        this.#put({ kind: "rule" });
        break;
      case "table_open":
        this.#table = { head: [], rows: [], inHead: false };
        break;
      case "thead_open":
      case "thead_close":
        if (this.#table) this.#table.inHead = token.type === "thead_open";
        break;
      case "tr_open":
        if (this.#table && !this.#table.inHead) this.#table.rows.push([]);
        break;
      case "table_close":
        if (this.#table) this.#put({ kind: "table", head: this.#table.head, rows: this.#table.rows });
        this.#table = undefined;
        break;
    }
  }

  #inline(token: Token, before: Token | undefined): void {
    const children = inlines(token.children ?? []);
    if (this.#table) {
      const row = this.#table.inHead ? this.#table.head : this.#table.rows.at(-1);
      row?.push(children);
    } else if (before?.type === "heading_open") {
      this.#put({ kind: "heading", level: Number(before.tag.slice(1)) || 1, children });
    } else {
      this.#put({ kind: "paragraph", children });
    }
  }

  /** Puts the source of a container in its place, and returns the index of its last token. */
  #asWritten(tokens: readonly Token[], from: number): number {
    const open = tokens[from];
    let index = from + 1;
    while (index < tokens.length && tokens[index]?.level !== open?.level) index += 1;
    const [first, end] = open?.map ?? [0, 0];
    this.#put(paragraph(this.#lines.slice(first, end).join("\n").trimEnd()));
    return index;
  }

  #close(): void {
    const closed = this.#open.pop();
    if (closed === undefined) return;
    const { children, items, start } = closed;
    if (closed.type === "list_item_open") this.#open.at(-1)?.items.push(task(children));
    else if (closed.type === "blockquote_open") this.#put({ kind: "quote", children });
    else this.#put({ kind: "list", start, items });
  }

  #put(block: Block): void {
    const open = this.#open.at(-1);
    if (open === undefined) this.#root.push({ block, line: this.#line });
    else open.children.push(block);
  }
}

/** A list's item; one that begins with a box is a task. */
function task(children: readonly Block[]): Item {
  const [first, ...rest] = children;
  const begin = first?.kind === "paragraph" ? first.children[0] : undefined;
  const box = begin?.kind === "text" ? /^\[([ xX])\][ \n]/.exec(begin.text) : null;
  if (first?.kind !== "paragraph" || begin?.kind !== "text" || !box) return { done: undefined, children };
  const text: Inline = { kind: "text", text: begin.text.slice(box[0].length) };
  return {
    done: box[1] !== " ",
    children: [{ kind: "paragraph", children: [text, ...first.children.slice(1)] }, ...rest],
  };
}

/** An inline mark that is open while tokens are read. */
interface Mark {
  readonly token: Token;
  readonly children: Inline[];
  /** What is shown in front of its text and after it, where it is not shown as what it means. */
  readonly written: readonly [string, string] | undefined;
}

const MARKS: Record<string, "strong" | "emphasis" | "deleted"> = { strong: "strong", em: "emphasis", s: "deleted" };

function inlines(tokens: readonly Token[]): Inline[] {
  const root: Inline[] = [];
  const open: Mark[] = [];
  const here = (): Inline[] => open.at(-1)?.children ?? root;
  const say = (text: string): void => {
    const last = here().at(-1);
    if (text === "") return;
    if (last?.kind === "text") here().splice(-1, 1, { kind: "text", text: last.text + text });
    else here().push({ kind: "text", text });
  };
  for (const token of tokens) {
    if (token.nesting === 1) {
      const written = writtenMark(token, open.length, here().at(-1));
      if (written) say(written[0]);
      // What is shown as text has no children of its own.
      open.push({ token, children: written ? here() : [], written });
    } else if (token.nesting === -1) {
      const mark = open.pop();
      if (mark === undefined) continue;
      if (mark.written) say(mark.written[1]);
      else here().push(...meant(mark));
    } else if (token.type === "softbreak") {
      say("\n");
    } else if (token.type === "hardbreak") {
      here().push({ kind: "break" });
    } else if (token.type === "code_inline") {
      here().push({ kind: "code", text: token.content });
    } else {
      say(token.content);
    }
  }
  return root;
}

/** How a mark was written, where it is to be shown so: images, what is nested too deeply, and what is not known. */
function writtenMark(token: Token, depth: number, before: Inline | undefined): readonly [string, string] | undefined {
  const isImage = token.type === "link_open" && before?.kind === "text" && before.text.endsWith("!");
  const isKnown = token.type === "link_open" || MARKS[token.tag] !== undefined;
  if (isKnown && !isImage && depth < MAX_DEPTH) return undefined;
  if (token.type !== "link_open") return [token.markup, token.markup];
  if (token.markup === "autolink") return ["<", ">"];
  const title = token.attrGet("title");
  return ["[", title === null ? `](${token.attrGet("href")})` : `](${token.attrGet("href")} "${title}")`];
}

/** A link says where it leads, unless its text does: a page must not be able to pass for another. */
function meant({ token, children }: Mark): Inline[] {
  const kind = MARKS[token.tag];
  if (kind !== undefined) return [{ kind, children }];
  const href = safeHref(String(token.attrGet("href")));
  if (href === undefined) return children;
  const [only] = children;
  const text = children.length === 1 && only?.kind === "text" ? only.text : undefined;
  const says = text !== undefined && [href, href.replace(/\/$/, ""), href.replace(/^mailto:/, "")].includes(text);
  const shown: Inline[] = says ? [] : [{ kind: "text", text: ` (${href})` }];
  return [{ kind: "link", href, children }, ...shown];
}
