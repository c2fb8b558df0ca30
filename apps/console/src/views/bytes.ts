const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** A size in words for people. */
export function bytes(size: number): string {
  if (size < 1_000) return `${size} B`;
  if (size < 1_000_000) return `${NUMBER.format(size / 1_000)} kB`;
  return `${NUMBER.format(size / 1_000_000)} MB`;
}
