// Which of the log's events to apply, and when: each once, in the order of their numbers, none left out.

import type { ServerEvent } from "../contract.ts";

/** How far the log has been applied, and what came too early. */
export interface Order {
  /** The id of the last event that was applied, in the server's words: handed back to resume. */
  readonly lastId: string | undefined;
  /** Its number; 0 before the first. */
  readonly last: number;
  /** Events beyond a gap, by number. */
  readonly early: ReadonlyMap<number, ServerEvent>;
}

export const BEGINNING: Order = { lastId: undefined, last: 0, early: new Map() };

/** As many events beyond a gap are kept. The others come again once the gap is filled. */
export const MAX_EARLY = 1_000;

/** The number in an id, `<epoch>-<number>`. */
export function numberOf(id: string): number {
  const number = Number(id.slice(id.lastIndexOf("-") + 1));
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

/** Whether events are missing: the log must be asked for again, from `lastId` on. */
export function hasGap(order: Order): boolean {
  return order.early.size > 0;
}

/** The log is applied up to this event. */
export function standingAt(id: string): Order {
  return { lastId: id, last: numberOf(id), early: new Map() };
}

/** Which events to apply now that `event` has come, in order; none where it was applied before or comes too early. */
export function admit(order: Order, event: ServerEvent): { order: Order; due: ServerEvent[] } {
  const { id } = event.meta;
  if (id === undefined) return { order, due: [event] };
  const number = numberOf(id);
  if (number <= order.last) return { order, due: [] };
  if (number > order.last + 1) {
    if (order.early.size >= MAX_EARLY || order.early.has(number)) return { order, due: [] };
    return { order: { ...order, early: new Map(order.early).set(number, event) }, due: [] };
  }
  const due = [event];
  let [last, lastId] = [number, id];
  if (order.early.size === 0) return { order: { last, lastId, early: order.early }, due };
  const early = new Map(order.early);
  for (const number of early.keys()) if (number <= last) early.delete(number);
  for (let next = early.get(last + 1); next?.meta.id !== undefined; next = early.get(last + 1)) {
    early.delete(last + 1);
    due.push(next);
    [last, lastId] = [last + 1, next.meta.id];
  }
  return { order: { last, lastId, early }, due };
}
