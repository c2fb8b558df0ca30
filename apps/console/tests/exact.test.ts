import { expect, test } from "vitest";
import { laidOut, members, shown } from "../src/text/exact.ts";

test("numbers stay as they were written", () => {
  const text = '{"id":1234567890123456789,"x":[1.50,-0,{"n":1e400}],"s":"a\\"{,:}","e":{},"l":[]}';
  const expected = [
    "{",
    '  "id": 1234567890123456789,',
    '  "x": [',
    "    1.50,",
    "    -0,",
    "    {",
    '      "n": 1e400',
    "    }",
    "  ],",
    '  "s": "a\\"{,:}",',
    '  "e": {},',
    '  "l": []',
    "}",
  ];
  expect(laidOut(text)).toEqual(expected.join("\n"));
  expect(laidOut(laidOut(text))).toEqual(laidOut(text));
  for (const value of [{}, [], { a: [1, { b: "c d" }], t: true, n: null }, "x", 7]) {
    expect(laidOut(JSON.stringify(value))).toEqual(JSON.stringify(value, null, 2));
  }
});

test("members of an object are told apart by its text", () => {
  const found = members('{"id":1234567890123456789,"deep":{"a":[1,2],"b":"x:,"},"text":"a\\nb"}');
  expect(found).toEqual([
    ["id", "1234567890123456789"],
    ["deep", '{"a":[1,2],"b":"x:,"}'],
    ["text", '"a\\nb"'],
  ]);
  expect(members("{}")).toEqual([]);
  expect(members("[1]")).toEqual(undefined);
  expect(shown('"a\\nb"')).toEqual({ text: "a\nb", isText: true });
  expect(shown("12345678901234567890")).toEqual({ text: "12345678901234567890", isText: false });
});
