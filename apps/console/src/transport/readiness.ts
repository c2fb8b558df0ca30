// Whether the server can serve sessions, and if not, why: what /readyz says.

export interface Reason {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

export type Readiness =
  | { readonly kind: "ready" }
  | { readonly kind: "degraded"; readonly reasons: Reason[] }
  | { readonly kind: "unreachable" };

/** Asks once. An answer that cannot be had within `patience` milliseconds is none. */
export async function readiness(patience = 5_000): Promise<Readiness> {
  try {
    const response = await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(patience) });
    const said = (await response.json()) as { ready?: unknown; reasons?: unknown };
    if (said.ready === true) return { kind: "ready" };
    if (said.ready !== false) return { kind: "unreachable" };
    return { kind: "degraded", reasons: Array.isArray(said.reasons) ? said.reasons.filter(isReason) : [] };
  } catch {
    return { kind: "unreachable" };
  }
}

function isReason(value: unknown): value is Reason {
  return typeof value === "object" && value !== null && "message" in value && typeof value.message === "string";
}
