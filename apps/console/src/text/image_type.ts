// What an image is, by its own bytes: what somebody says of it does not count.

const STARTS: readonly (readonly [string, RegExp])[] = [
  ["image/png", /^\x89PNG\r\n\x1a\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/gif", /^GIF8[79]a/],
  ["image/webp", /^RIFF[^]{4}WEBP/],
];

/** The longest image that is drawn, in characters of base64: 8 MB of image. */
const LONGEST = 11_000_000;

/** The media type of base64 that is one of the images which are shown; `undefined` for everything else. */
export function imageType(base64: string): string | undefined {
  if (base64.length > LONGEST || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  try {
    const start = atob(base64.slice(0, 32).replace(/=+$/, ""));
    return STARTS.find(([, bytes]) => bytes.test(start))?.[0];
  } catch {
    return undefined;
  }
}
