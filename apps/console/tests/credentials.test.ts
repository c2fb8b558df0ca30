import { describe, expect, test } from "vitest";
import {
  keepToken,
  nameSession,
  sessionInAddress,
  takeToken,
  token,
  type Place,
} from "../src/transport/credentials.ts";

/** A tab at this address. */
function tab(href: string): Place & { readonly location: { href: string } } {
  const kept = new Map<string, string>();
  const location = { href };
  return {
    location,
    history: { replaceState: (_, __, url) => void (location.href = new URL(url, location.href).href) },
    sessionStorage: {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key),
    },
  };
}

describe("a token in the address", () => {
  test.each([
    ["http://h/#token=abc", "http://h/"],
    ["http://h/?token=abc", "http://h/"],
    ["http://h/#session=s&token=abc", "http://h/#session=s"],
    ["http://h/?a=1&token=abc#session=s", "http://h/?a=1#session=s"],
    ["http://h/?token=other#token=abc", "http://h/"],
  ])("%s becomes %s", (before, after) => {
    const place = tab(before);
    takeToken(place);
    expect([place.location.href, token(place)]).toEqual([after, "abc"]);
  });

  test("is kept until another one comes, and an empty one is none", () => {
    const place = tab("http://h/#token=abc");
    takeToken(place);
    takeToken(place);
    expect(token(place)).toBe("abc");
    keepToken(place, "  d  ");
    expect(token(place)).toBe("d");
    place.location.href = "http://h/#token=";
    takeToken(place);
    expect([place.location.href, token(place)]).toEqual(["http://h/", undefined]);
  });
});

test("the address names the session, and nothing that cannot be one", () => {
  const place = tab("http://h/");
  expect(sessionInAddress(place)).toBeUndefined();
  nameSession(place, "a_B-9");
  expect([place.location.href, sessionInAddress(place)]).toEqual(["http://h/#session=a_B-9", "a_B-9"]);
  nameSession(place, undefined);
  expect(place.location.href).toBe("http://h/");
  for (const bad of ["a/b", "a b", "", "x".repeat(129), "<b>"]) {
    expect(sessionInAddress(tab(`http://h/#session=${encodeURIComponent(bad)}`)), bad).toBeUndefined();
  }
});
