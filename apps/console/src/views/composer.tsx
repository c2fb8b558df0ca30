import { useRef, useState } from "preact/hooks";

interface Props {
  isRunning: boolean;
  canSend: boolean;
  say(text: string): void;
  stop(): void;
}

/** Where the user writes. Enter sends, with Shift it begins a line. */
export function Composer({ isRunning, canSend, say, stop }: Props) {
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const send = (): void => {
    if (text.trim() === "" || !canSend) return;
    say(text);
    setText("");
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <label class="hidden" for="message">
        Message
      </label>
      <textarea
        id="message"
        ref={field}
        rows={1}
        dir="auto"
        placeholder="Message"
        aria-describedby="message-keys"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <span class="hidden" id="message-keys">
        Enter sends, Shift with Enter begins a line.
      </span>
      {isRunning && (
        <button type="button" class="danger" onClick={stop}>
          Stop
        </button>
      )}
      <button type="submit" class="primary" disabled={text.trim() === "" || !canSend}>
        Send
      </button>
    </form>
  );
}
