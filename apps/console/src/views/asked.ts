import { useEffect, useState } from "preact/hooks";

/** Something that the server is asked for by the view that shows it. */
export type Asked<T> =
  | { readonly kind: "waiting" }
  | { readonly kind: "there"; readonly value: T }
  | { readonly kind: "failed"; readonly problem: string };

/**
 * Asks, and asks again whenever one of `reasons` is another; what was there before stays until the new answer is. `isReady` says
 * whether there is somebody to ask; until then it waits.
 */
export function useAsked<T>(isReady: boolean, ask: () => Promise<T>, reasons: readonly unknown[]): Asked<T> {
  const [asked, setAsked] = useState<Asked<T>>({ kind: "waiting" });
  useEffect(() => {
    if (!isReady) return;
    let wanted = true;
    const tell = (answer: Asked<T>): void => {
      if (wanted) setAsked(answer);
    };
    ask().then(
      (value) => tell({ kind: "there", value }),
      (error: unknown) => tell({ kind: "failed", problem: words(error) }),
    );
    return () => void (wanted = false);
  }, [isReady, ...reasons]);
  return asked;
}

/** What went wrong, for people. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : "No answer came.";
}
