// The server's own words for what the console must know by name.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EVENT_NAMES, RETRYABLE } from "../src/contract.ts";

function words(file: string, pattern: RegExp): string[] {
  const source = readFileSync(new URL(`../../../crates/${file}`, import.meta.url), "utf8");
  const found = [...source.matchAll(pattern)].map((match) => match[1] ?? "");
  expect(found.length).toBeGreaterThan(5);
  return found.toSorted();
}

test("every event of the server is known, and no other", () => {
  const names = words("socket-gateway/src/wire/server.rs", /Self::\w+(?:\(_\))? => "([a-z:_]+)"/g);
  expect([...EVENT_NAMES].toSorted()).toEqual(names);
});

test("the codes after which it is tried again are the server's retryable ones", () => {
  const codes = words("domain/src/code.rs", /= "([a-z_]+)", retryable: true/g);
  expect([...RETRYABLE].toSorted()).toEqual(codes);
});
