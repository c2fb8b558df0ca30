import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

interface Props {
  children: ComponentChildren;
  /** What the button says when it has been pressed once. */
  sure: string;
  disabled: boolean;
  small?: boolean;
  act(): void;
}

/** A button for what cannot be undone: it wants to be pressed twice. */
export function ConfirmButton({ children, sure, disabled, small = false, act }: Props) {
  const [asked, setAsked] = useState(false);
  const press = (): void => {
    if (asked) act();
    setAsked(!asked);
  };
  return (
    <button
      type="button"
      class={`${asked ? "danger" : ""} ${small ? "small" : ""}`}
      disabled={disabled}
      onClick={press}
      onBlur={() => setAsked(false)}
    >
      {asked ? sure : children}
    </button>
  );
}
