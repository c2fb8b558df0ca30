// JSON text as it was written, without being parsed: a double would round large numbers, and what a human decides about is
// the text that runs.

/** The text with a member or an item on each line; numbers and strings stay as they are written. */
export function laidOut(json: string): string {
  let [out, depth] = ["", 0];
  const newLine = (): string => `\n${"  ".repeat(depth)}`;
  for (const token of tokens(json)) {
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + newLine();
    } else if (token === "}" || token === "]") {
      depth = Math.max(0, depth - 1);
      const trimmed = out.trimEnd();
      out = trimmed.endsWith("{") || trimmed.endsWith("[") ? trimmed + token : out + newLine() + token;
    } else if (token === ",") out += token + newLine();
    else if (token === ":") out += ": ";
    else out += token;
  }
  return out;
}

/** The members of an object, each as its name and the text of its value; `undefined` for what is no object. */
export function members(json: string): [name: string, value: string][] | undefined {
  const found: [string, string][] = [];
  let [depth, name, value] = [0, undefined as string | undefined, ""];
  const all = tokens(json);
  if (all[0] !== "{" || all.at(-1) !== "}") return undefined;
  for (const token of all.slice(1, -1)) {
    if (depth === 0 && token === "," && name !== undefined) {
      found.push([name, value]);
      [name, value] = [undefined, ""];
    } else if (depth === 0 && name === undefined) {
      if (token !== ":") name = unquoted(token);
    } else if (depth === 0 && token === ":" && value === "") continue;
    else value += token;
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
  }
  if (name !== undefined) found.push([name, value]);
  return found;
}

/** A string's text where the JSON is a string; otherwise the JSON on lines of its own. */
export function shown(json: string): { text: string; isText: boolean } {
  return json.startsWith('"') ? { text: unquoted(json), isText: true } : { text: laidOut(json), isText: false };
}

function unquoted(token: string): string {
  try {
    const value: unknown = JSON.parse(token);
    return typeof value === "string" ? value : token;
  } catch {
    return token;
  }
}

function tokens(json: string): string[] {
  return json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs) ?? [];
}
