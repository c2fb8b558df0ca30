import { expect, test } from "vitest";
import type { Json } from "../src/contract.ts";
import { problems } from "../src/text/schema.ts";

const schema: Json = {
  type: "object",
  properties: {
    path: { type: "string" },
    limit: { type: "integer" },
    mode: { enum: ["r", "w"] },
    owner: { type: ["string", "null"] },
    parts: { type: "array", items: { type: "object", properties: { at: { type: "number" } }, required: ["at"] } },
  },
  required: ["path"],
  additionalProperties: false,
};

test.each<[string, Json, string[]]>([
  ["fits", { path: "a", limit: 1, mode: "r", owner: null, parts: [{ at: 1.5, more: 1 }] }, []],
  ["lacks something", { limit: 1 }, ["`path` is missing."]],
  ["has too much", { path: "a", toString: 1 }, ["There is no `toString`."]],
  ["is of another type", { path: 7 }, ["`path` must be a string."]],
  ["is not whole", { path: "a", limit: 1.5 }, ["`limit` must be an integer."]],
  ["is not listed", { path: "a", mode: "x" }, ['`mode` must be one of "r", "w".']],
  ["is none of several types", { path: "a", owner: 1 }, ["`owner` must be a string or null."]],
  ["is wrong inside", { path: "a", parts: [{ at: 1 }, {}] }, ["`parts[1].at` is missing."]],
  ["is no object", [], ["The arguments must be an object."]],
])("a value that %s", (_, value, expected) => {
  expect(problems(schema, value)).toEqual(expected);
});

test("what is not known here is the server's to judge", () => {
  for (const odd of [undefined, true, null, {}, { type: 7 }, { oneOf: [] }, { patternProperties: {} }] as Json[]) {
    expect(problems(odd, { a: 1 })).toEqual([]);
  }
  const deep = (depth: number): Json => (depth === 0 ? 1 : { a: deep(depth - 1) });
  const nested = (depth: number): Json => (depth === 0 ? { type: "string" } : { properties: { a: nested(depth - 1) } });
  expect(problems(nested(20), deep(20))).toEqual([]);
  expect(problems({ properties: { a: { type: "string" }, b: { type: "string" } } }, { a: 1, b: 2 })).toHaveLength(2);
});
