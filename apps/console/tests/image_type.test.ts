import { expect, test } from "vitest";
import { imageType } from "../src/text/image_type.ts";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

test.each([
  ["a PNG", PIXEL, "image/png"],
  ["a JPEG", btoa("\xff\xd8\xff\xe0rest of it"), "image/jpeg"],
  ["a GIF", btoa("GIF89a...."), "image/gif"],
  ["a WebP", btoa("RIFF\x01\x02\x03\x04WEBPVP8 "), "image/webp"],
  ["an SVG, which is markup", btoa("<svg xmlns='http://www.w3.org/2000/svg'/>"), undefined],
  ["a page", btoa("<!doctype html>"), undefined],
  ["something that leaves its attribute", 'iVBORw0KGgo"><script>', undefined],
  ["half a letter", "i", undefined],
  ["nothing", "", undefined],
  ["too much", "A".repeat(12_000_000), undefined],
])("%s", (_, base64, type) => {
  expect(imageType(base64)).toBe(type);
});
