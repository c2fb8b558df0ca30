// Parsing is linear in what a model writes, whatever it writes. Covers: S2-10

import { describe, expect, test, vi } from "vitest";
import { MAX_LENGTH, parse, type Block } from "../src/text/markdown.ts";
import { Streamed } from "../src/text/streamed.ts";

// Parsers are slow on a machine that does other things as well; what is asserted are ratios.
vi.setConfig({ testTimeout: 120_000 });

const times = (text: string) => (length: number) => text.repeat(Math.ceil(length / text.length)).slice(0, length);
const lines = (line: (index: number) => string) => (length: number) => {
  let text = "";
  for (let index = 0; text.length < length; index += 1) text += line(index);
  return text.slice(0, length);
};

const ATTACKS: Record<string, (length: number) => string> = {
  "emphasis that never closes": times("*a_"),
  underscores: times("a_"),
  "underscores of two kinds": times("_a__"),
  strikes: times("~~a~"),
  stars: times("*"),
  "stars in threes": times("***a "),
  brackets: times("["),
  "brackets in pairs": (length) => "[".repeat(length / 2) + "]".repeat(length / 2),
  "links that are only begun": times("[a]("),
  "links in links": (length) => "[".repeat(length / 4) + "](x)".repeat(length / 4),
  "images that are only begun": times("!["),
  "images in images": (length) => "![".repeat(length / 5) + "](x)".repeat(length / 5),
  "titles that are only begun": times('[a](b "'),
  backticks: lines((index) => "`".repeat((index % 500) + 1) + " "),
  quotes: times(">"),
  "quotes that are gone on with": (length) => "> ".repeat(90) + "a\n" + "b\n".repeat(length / 2 - 90),
  "nested lists": lines((index) => " ".repeat(2 * (index % 60)) + "- a\n"),
  "lists in a line": times("- "),
  "numbers in a line": times("1) "),
  "rules that are none": (length) => "- ".repeat(length / 2) + "a",
  "a long table": (length) => "|a|b|\n|-|-|\n" + "|x|\n".repeat(length / 4),
  "a wide table": (length) => "|a".repeat(100) + "|\n" + "|-".repeat(100) + "|\n" + "|x|\n".repeat(length / 4),
  bars: times("|"),
  "angle brackets": times("<"),
  "addresses that are only begun": times("<http:"),
  "mail addresses that are only begun": times("<a@"),
  "comments that are only begun": times("<!--"),
  "sections that are only begun": times("<![CDATA["),
  entities: times("&#1"),
  backslashes: times("\\"),
  definitions: lines((index) => `[a${index}]: b\n`),
  references: times("[a][b] "),
  fences: times("```\n"),
  headings: times("a\n=\n"),
  "empty lines": times("\n"),
  spaces: (length) => "a" + " ".repeat(length - 2) + "b",
  "hard breaks": times("a  \n"),
  addresses: times("http://a. "),
};

/** The lesser time of two, in milliseconds. */
function least(text: string): number {
  const took = Array.from({ length: 2 }, () => {
    const began = performance.now();
    parse(text);
    return performance.now() - began;
  });
  return Math.min(...took);
}

describe("sixteen times the text is far from 256 times the work", () => {
  test.each(Object.keys(ATTACKS))("%s", (name) => {
    const make = ATTACKS[name] ?? times("a");
    parse(make(1_000));
    const [small, large] = [least(make(2_500)), least(make(40_000))];
    // Below a few milliseconds the clock measures other things.
    expect(large / Math.max(small, 3), `${small} ms, then ${large} ms`).toBeLessThan(100);
  });
});

test("a text beyond the limit is shown as it was written", () => {
  const text = "*a* ".repeat(MAX_LENGTH / 4 + 1);
  expect(parse(text)).toEqual([{ kind: "paragraph", children: [{ kind: "text", text }] }]);
});

test("a text of very many parts is shown as it was written", () => {
  const text = "*a* ".repeat(20_000);
  expect(parse(text)).toEqual([{ kind: "paragraph", children: [{ kind: "text", text }] }]);
});

/** How much is parsed while a text comes in pieces. */
function work(text: string, piece = 40): number {
  const streamed = new Streamed();
  for (let end = piece; end < text.length; end += piece) streamed.show(text.slice(0, end), true);
  streamed.show(text, false);
  return streamed.work;
}

describe("while it arrives, a text is parsed a bounded number of times", () => {
  test.each(Object.keys(ATTACKS))("%s", (name) => {
    const make = ATTACKS[name] ?? times("a");
    const [small, large] = [work(make(8_000)), work(make(16_000))];
    // Twice the text is about twice the work; four times would be quadratic.
    expect(large / small).toBeLessThan(3);
  });
});

test("what is shown of a text that arrives is what the whole text shows", () => {
  const text =
    "# Title\n\nSome **words** and `code`.\n\n- one\n- two\n\n  more\n\n1. a\n2. b\n\n> quote\nlazy\n\n```js\nlet a;\n\n# no\n```\n\n|a|b|\n|-|-|\n|c|d|\n\nend";
  const streamed = new Streamed();
  for (let end = 1; end <= text.length; end += 1) {
    const { blocks, rest } = streamed.show(text.slice(0, end), true);
    expect(rest).toBe("");
    expect(blocks).toEqual(parse(text.slice(0, end)));
  }
  expect(streamed.show(text, false).blocks).toEqual(parse(text));
});

test("blocks that are final are drawn once", () => {
  const streamed = new Streamed();
  const before: readonly Block[] = streamed.show("one\n\ntwo\n\nthree", true).blocks;
  const after = streamed.show("one\n\ntwo\n\nthree four", true).blocks;
  expect(after[0]).toBe(before[0]);
  expect(after[1]).toBe(before[1]);
});

test("a text that is replaced is parsed anew", () => {
  const streamed = new Streamed();
  streamed.show("one\n\ntwo", true);
  expect(streamed.show("three", true).blocks).toEqual(parse("three"));
});
