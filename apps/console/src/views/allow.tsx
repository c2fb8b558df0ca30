import { useId, useState } from "preact/hooks";

interface Props {
  disabled: boolean;
  primary?: boolean;
  act(): void;
  children: string;
}

/** A button that lets a call run: by a click or the space bar. Enter, which sends messages, does not. */
export function Allow({ disabled, primary = false, act, children }: Props) {
  const [hinted, setHinted] = useState(false);
  const id = useId();
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    setHinted(true);
  };
  return (
    <>
      <span class={hinted ? "quiet" : "hidden"} id={id}>
        The space bar approves; Enter does not.
      </span>
      <button
        type="button"
        class={primary ? "primary" : ""}
        disabled={disabled}
        aria-describedby={id}
        onClick={act}
        onKeyDown={onKeyDown}
        onBlur={() => setHinted(false)}
      >
        {children}
      </button>
    </>
  );
}
