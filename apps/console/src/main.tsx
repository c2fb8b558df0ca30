import { render } from "preact";
import { Controller } from "./app/controller.ts";
import { takeToken } from "./transport/credentials.ts";
import { App } from "./views/app.tsx";
import { applyTheme, storedTheme } from "./views/theme.tsx";

// Before anything else, so that a token stays neither in the address nor in the history.
takeToken(window);
applyTheme(storedTheme());

const root = document.getElementById("app");
if (root) render(<App controller={new Controller()} />, root);
