// What is different between two calls of a tool, so that a human need not compare by eye.

import { members, shown } from "../text/exact.ts";
import { argsText, type Call, type Session } from "./state.ts";

/** What became of an argument. */
export type Change =
  | { readonly name: string; readonly kind: "same" }
  | { readonly name: string; readonly kind: "new" | "gone" | "changed"; readonly lines: readonly Line[] };

/** A line that only one of the two has, or both. */
export interface Line {
  readonly sign: "+" | "-" | " ";
  readonly text: string;
}

/** Lines are matched up to this many on either side; beyond that, all of one follow all of the other. */
const MOST_LINES = 400;
/** As many lines that both have are kept around those that differ. */
const CONTEXT = 2;

/** The last call before this one that ran, or was to run, the same tool. */
export function previousCall(session: Session, call: Call): Call | undefined {
  let found: Call | undefined;
  for (const each of session.calls.values()) {
    if (each.callId === call.callId) break;
    if (each.name === call.name && each.server === call.server) found = each;
  }
  return found;
}

/** The arguments that a call had in the end: a human's, or else the model's. */
export function finalArgs(call: Call): string {
  const edited = call.resolution;
  if (edited?.args !== undefined) return edited.argsText ?? JSON.stringify(edited.args);
  return argsText(call);
}

/** Each argument that either of them has, in the order of the later one. */
export function difference(before: string, now: string): Change[] {
  const [old, later] = [named(before), named(now)];
  const names = new Set([...later.keys(), ...old.keys()]);
  return [...names].map((name) => {
    const [was, is] = [old.get(name), later.get(name)];
    if (was === is) return { name, kind: "same" };
    if (was === undefined) return { name, kind: "new", lines: signed("+", linesOf(is ?? "")) };
    if (is === undefined) return { name, kind: "gone", lines: signed("-", linesOf(was)) };
    return { name, kind: "changed", lines: near([...matched(linesOf(was), linesOf(is)), ...ending(was, is)]) };
  });
}

/** Each argument as it is written; what is no object is one argument without a name. */
function named(json: string): Map<string, string> {
  const all = members(json) ?? [["", json]];
  return new Map(all.map(([name, value]) => [name, shown(value).text]));
}

/** The lines of a text; a line break at its end begins no further one. */
function linesOf(text: string): string[] {
  return text.replace(/\n$/, "").split("\n");
}

function ending(before: string, now: string): Line[] {
  const [had, has] = [before.endsWith("\n"), now.endsWith("\n")];
  return had === has ? [] : [{ sign: has ? "+" : "-", text: "(a line break at the end)" }];
}

function signed(sign: Line["sign"], texts: readonly string[]): Line[] {
  return texts.map((text) => ({ sign, text }));
}

/** By the longest sequence of lines that both have. */
function matched(before: readonly string[], now: readonly string[]): Line[] {
  if (before.length > MOST_LINES || now.length > MOST_LINES) return [...signed("-", before), ...signed("+", now)];
  const width = now.length + 1;
  const common = new Uint16Array((before.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      common[i * width + j] = before[i] === now[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < now.length) {
    if (i < before.length && j < now.length && before[i] === now[j]) {
      lines.push({ sign: " ", text: before[i] ?? "" });
      [i, j] = [i + 1, j + 1];
    } else if (i < before.length && (j === now.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ sign: "-", text: before[i++] ?? "" });
    } else {
      lines.push({ sign: "+", text: now[j++] ?? "" });
    }
  }
  return lines;
}

/** Only what differs, and a little around it. */
function near(lines: readonly Line[]): Line[] {
  const kept = lines.filter((_, place) =>
    lines.slice(Math.max(0, place - CONTEXT), place + CONTEXT + 1).some((line) => line.sign !== " "),
  );
  return kept.length === lines.length ? kept : [...kept, { sign: " ", text: "…" }];
}
