// The first mistakes in edited arguments, told while somebody types. The server checks all of a tool's schema; what is not
// known here is left to it.

import type { Json } from "../contract.ts";

type Schema = { readonly [key: string]: Json };

/** As many problems are told at once. */
const MOST = 3;
/** Deeper than this, the server looks alone. */
const MAX_DEPTH = 8;

/** What is wrong with `value` by the parts of JSON Schema that people meet: types, required, unknown and listed values. */
export function problems(schema: Json | undefined, value: Json): string[] {
  return check(schema, value, "", 0).slice(0, MOST);
}

function check(schema: Json | undefined, value: Json, place: string, depth: number): string[] {
  if (!isObject(schema) || depth > MAX_DEPTH) return [];
  const at = place === "" ? "The arguments" : `\`${place}\``;
  if (!fits(schema["type"], value)) return [`${at} must be ${words(schema["type"])}.`];
  const listed = schema["enum"];
  if (Array.isArray(listed) && !listed.some((each) => JSON.stringify(each) === JSON.stringify(value))) {
    return [`${at} must be one of ${listed.map((each) => JSON.stringify(each)).join(", ")}.`];
  }
  if (Array.isArray(value)) {
    return value.flatMap((each, index) => check(schema["items"], each, `${place}[${index}]`, depth + 1));
  }
  return isObject(value) ? inside(schema, value, place, depth) : [];
}

function inside(schema: Schema, value: Schema, place: string, depth: number): string[] {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const path = (name: string): string => (place === "" ? name : `${place}.${name}`);
  const missing = required.filter((name) => typeof name === "string" && !Object.hasOwn(value, name));
  const isClosed = schema["additionalProperties"] === false && !isObject(schema["patternProperties"]);
  const unknown = isClosed ? Object.keys(value).filter((name) => !Object.hasOwn(properties, name)) : [];
  return [
    ...missing.map((name) => `\`${path(String(name))}\` is missing.`),
    ...unknown.map((name) => `There is no \`${path(name)}\`.`),
    ...Object.entries(value).flatMap(([name, each]) =>
      Object.hasOwn(properties, name) ? check(properties[name], each, path(name), depth + 1) : [],
    ),
  ];
}

function fits(type: Json | undefined, value: Json): boolean {
  if (Array.isArray(type)) return type.length === 0 || type.some((each) => fits(each, value));
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return typeof value === "number" && Number.isInteger(value);
    case "string":
    case "number":
    case "boolean":
      return typeof value === type;
    default:
      return true;
  }
}

function words(type: Json | undefined): string {
  const article = (each: Json): string =>
    each === "null" ? "null" : /^[aio]/.test(String(each)) ? `an ${String(each)}` : `a ${String(each)}`;
  return Array.isArray(type) ? type.map(article).join(" or ") : article(type ?? null);
}

function isObject(value: Json | undefined): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
