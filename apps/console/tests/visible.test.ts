import { describe, expect, test } from "vitest";
import { readable, visible, visibleText } from "../src/text/visible.ts";

describe("what is decided upon", () => {
  test.each([
    ["a right-to-left override", "invoice\u202etxt.exe", "invoice[U+202E]txt.exe"],
    ["an isolate", "a\u2066b\u2069", "a[U+2066]b[U+2069]"],
    ["a zero-width space", "rm\u200b -rf", "rm[U+200B] -rf"],
    ["a tag character", "ok\u{e0041}", "ok[U+E0041]"],
    ["an escape sequence", "\u001b[2Jgone", "[U+001B][2Jgone"],
    ["a carriage return", "safe\rrm", "safe[U+000D]rm"],
    ["a no-break space", "a\u00a0b", "a[U+00A0]b"],
    ["a line separator", "a\u2028b", "a[U+2028]b"],
    ["a variation selector", "a\ufe0f\u{e0100}", "a[U+FE0F][U+E0100]"],
    ["a blank that is a letter", "a\u3164b\u2800", "a[U+3164]b[U+2800]"],
    ["a lone surrogate", "a\ud800", "a[U+D800]"],
    ["a private character", "\ue000", "[U+E000]"],
  ])("shows %s", (_, written, shown) => {
    expect(visibleText(written)).toBe(shown);
  });

  test("leaves alone what is seen", () => {
    const text = "echo 'grüße' | tr a b\n\tπ ≠ 3 — 日本語 עברית 🙂";
    expect(visible(text)).toEqual([{ text }]);
    expect(visible("")).toEqual([]);
  });

  test("loses nothing: every character is in a part, once", () => {
    const lost: number[] = [];
    for (let code = 0; code <= 0x10ffff; code += 7) {
      const character = String.fromCodePoint(code);
      const parts = visible(`a${character}b`).map((part) =>
        "text" in part ? part.text : String.fromCodePoint(parseInt(part.mark.slice(2), 16)),
      );
      if (parts.join("") !== `a${character}b`) lost.push(code);
    }
    expect(lost).toEqual([]);
  });
});

test("running text keeps the joiners that languages need, and shows overrides", () => {
  const family = "👨\u200d👩\u200d👧 می\u200cخواهم";
  expect(readable(family)).toEqual([{ text: family }]);
  expect(readable("a\u202eb")).toEqual([{ text: "a" }, { mark: "U+202E" }, { text: "b" }]);
});

test("a text of very many marks is few elements, and none of them is left out", () => {
  const text = "a\u202e".repeat(30_000);
  const parts = visible(text);
  expect(parts.length).toBeLessThan(2_100);
  expect(visibleText(text)).toBe("a[U+202E]".repeat(30_000));
});
