import { expect, test } from "vitest";
import { Cursor, numberOf } from "../src/cursor.ts";

test("an id's number is what follows its epoch", () => {
  expect(["3-17", "0-0", "12-9007199254740991", "x", "", "3-", "3-x"].map(numberOf)).toEqual([
    17, 0, 9007199254740991, 0, 0, 0, 0,
  ]);
});

test("the first event is the next one, wherever the log is read from", () => {
  expect(new Cursor().meet("4-17")).toBe("next");
  expect(new Cursor("4-17").meet("4-18")).toBe("next");
});

test("numbers go on over epochs", () => {
  const cursor = new Cursor("4-17");
  expect([cursor.meet("5-18"), cursor.meet("5-18"), cursor.meet("4-17"), cursor.meet("5-20")]).toEqual([
    "next",
    "seen",
    "seen",
    "gap",
  ]);
  expect(cursor.last).toBe("5-18");
});
