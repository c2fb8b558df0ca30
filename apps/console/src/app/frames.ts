// What went over the connection, for the frame inspector.

import type { Meta } from "../contract.ts";

export interface Frame {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly direction: "in" | "out" | "ack";
  readonly name: string;
  readonly payload: unknown;
  readonly meta: Meta | undefined;
}

/** As many frames are kept. */
export const MAX_FRAMES = 500;

export function recorded(frames: readonly Frame[], frame: Omit<Frame, "number">): readonly Frame[] {
  const number = (frames.at(-1)?.number ?? 0) + 1;
  return [...frames.slice(-(MAX_FRAMES - 1)), { ...frame, number }];
}
