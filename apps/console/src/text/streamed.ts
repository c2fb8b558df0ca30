// Markdown that is parsed while it arrives, in work that is linear in its length.
//
// Later text cannot change a block that another one follows, so only the last block is parsed again; and a last block that is
// long or of many parts, only when it has grown by a part of itself. Link definitions count when the text is complete.

import { MAX_LENGTH, parse, parsePlaced, type Block } from "./markdown.ts";

/** A last block that is longer is parsed again only when it has grown by an eighth, in characters. */
const SHORT = 2_000;
/** The same holds for one of more parts: rows of a wide table that name one cell each have all the others as well. */
const FEW = 1_000;

/** What is shown of a text. */
export interface Shown {
  readonly blocks: readonly Block[];
  /** The text after these blocks, which is not parsed yet. */
  readonly rest: string;
}

/** One text, as it grows. */
export class Streamed {
  /** How many characters were parsed and how many parts were made so far, some of them several times. */
  work = 0;
  #text = "";
  #isWhole = false;
  /** The blocks that are final, and where they end. */
  #settled: Block[] = [];
  #settledTo = 0;
  /** The blocks after them, and how far they were parsed. */
  #last: readonly Block[] = [];
  #parsedTo = 0;
  #parts = 0;
  #shown: Shown = { blocks: [], rest: "" };

  /** Takes the text as it is now. `isOpen` is whether more of it is to come. */
  show(text: string, isOpen: boolean): Shown {
    if (text === this.#text && this.#isWhole === !isOpen) return this.#shown;
    if (!text.startsWith(this.#text)) this.#begin();
    this.#text = text;
    this.#isWhole = !isOpen;
    if (!isOpen) {
      this.work += text.length;
      this.#begin();
      this.#shown = { blocks: parse(text), rest: "" };
      return this.#shown;
    }
    if (text.length <= MAX_LENGTH && this.#isDue(text.length)) this.#parse(text);
    this.#shown = { blocks: [...this.#settled, ...this.#last], rest: text.slice(this.#parsedTo) };
    return this.#shown;
  }

  #begin(): void {
    this.#settled = [];
    this.#last = [];
    this.#settledTo = this.#parsedTo = this.#parts = 0;
  }

  #isDue(length: number): boolean {
    const last = this.#parsedTo - this.#settledTo;
    return last < SHORT && this.#parts < FEW ? length > this.#parsedTo : length - this.#parsedTo >= last / 8;
  }

  #parse(text: string): void {
    const tail = text.slice(this.#settledTo);
    const { placed, parts } = parsePlaced(tail);
    this.work += tail.length + parts;
    this.#parts = parts;
    const last = placed.at(-1);
    if (last !== undefined && placed.length > 1) {
      this.#settled.push(...placed.slice(0, -1).map(({ block }) => block));
      this.#settledTo += beginOf(last.line, tail);
    }
    this.#last = last === undefined ? [] : [last.block];
    this.#parsedTo = text.length;
  }
}

/** The index of the first character of a line. */
function beginOf(line: number, text: string): number {
  const ends = /\r\n?|\n/g;
  for (let passed = 0; passed < line; passed += 1) if (ends.exec(text) === null) return text.length;
  return ends.lastIndex;
}
