// Characters that are not seen, or that make text look like other text, made visible.
//
// What a human approves must be what runs. A right-to-left override can turn `txt.exe` around, and a zero-width space or a
// tag character can hide a word; see "Trojan Source" (CVE-2021-42574).

/** A part of a text: as it stands, or the name of a character that would not be seen. */
export type Part = { readonly text: string } | { readonly mark: string };

// Line feed and tab are seen by what they do. Everything else that is control, format, private or unassigned, separators
// other than the space, variation selectors and Hangul fillers are not.
const HIDDEN =
  /[^\P{C}\n\t]|[^\P{Z} ]|[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/u;

// In running text, languages and emoji need joiners and direction marks. Nothing needs these.
const SPOOFING = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u;

/** Every character that is not seen becomes a mark: for what is decided upon, and for what tools say. */
export function visible(text: string): Part[] {
  return parts(text, HIDDEN);
}

/** Controls of direction and other characters that no language needs become marks: for running text. */
export function readable(text: string): Part[] {
  return parts(text, SPOOFING);
}

/** The same as `visible`, as one string. */
export function visibleText(text: string): string {
  return visible(text)
    .map((part) => ("text" in part ? part.text : `[${part.mark}]`))
    .join("");
}

/** Each mark is an element of the page; after so many of them in one text, further ones are written as text. */
const MOST_MARKS = 1_000;

function parts(text: string, hidden: RegExp): Part[] {
  if (!hidden.test(text)) return text === "" ? [] : [{ text }];
  const parts: Part[] = [];
  let plain = "";
  let marks = 0;
  for (const character of text) {
    if (!hidden.test(character)) {
      plain += character;
      continue;
    }
    const code = character.codePointAt(0) ?? 0;
    const mark = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
    marks += 1;
    if (marks > MOST_MARKS) {
      plain += `[${mark}]`;
      continue;
    }
    if (plain !== "") parts.push({ text: plain });
    plain = "";
    parts.push({ mark });
  }
  if (plain !== "") parts.push({ text: plain });
  return parts;
}
