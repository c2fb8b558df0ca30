import { useState } from "preact/hooks";

const KEY = "lockkeeper.theme";
const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

/** The theme that was chosen, or the system's. */
export function applyTheme(theme: string | null): Theme {
  const known = THEMES.find((each) => each === theme) ?? "auto";
  document.documentElement.dataset["theme"] = known;
  return known;
}

export function storedTheme(): string | null {
  return localStorage.getItem(KEY);
}

export function ThemeChoice() {
  const [theme, setTheme] = useState(() => applyTheme(storedTheme()));
  return (
    <>
      <label class="hidden" for="theme">
        Theme
      </label>
      <select
        id="theme"
        value={theme}
        onChange={(event) => {
          localStorage.setItem(KEY, event.currentTarget.value);
          setTheme(applyTheme(event.currentTarget.value));
        }}
      >
        <option value="auto">Auto</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </>
  );
}
