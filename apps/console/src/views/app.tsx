import { useCallback, useEffect, useState } from "preact/hooks";
import type { AppState, Controller } from "../app/controller.ts";
import { asking, isRunning } from "../session/state.ts";
import { Composer } from "./composer.tsx";
import { Conversation } from "./conversation.tsx";
import { Notices } from "./notices.tsx";
import { lazy } from "./lazy.tsx";
import { linkState } from "./link_state.ts";
import { Visible } from "./text.tsx";
import { ThemeChoice } from "./theme.tsx";
import { Waiting } from "./waiting.tsx";

const Panels = lazy(
  () => import("./panels.tsx").then((module) => module.Panels),
  () => <p class="panel quiet">Loading</p>,
);

export function App({ controller }: { controller: Controller }) {
  const state = useStore(controller);
  const [open, setOpen] = useState(() => matchMedia("(min-width: 64rem)").matches);
  const questions = asking(state.session);
  const decide = useCallback<Controller["decide"]>((...verdict) => controller.decide(...verdict), [controller]);
  useTitle(questions.length);
  return (
    <div class="page" data-panels={open}>
      <Header state={state} open={open} toggle={() => setOpen(!open)} />
      <main>
        <div class="chat">
          <Notices state={state} controller={controller} />
          <Conversation state={state} controller={controller} decide={decide} />
          <Waiting questions={questions} />
          <Composer
            isRunning={isRunning(state.session)}
            canSend={state.link.kind !== "refused" || state.link.returns}
            say={(text) => controller.say(text)}
            stop={() => void controller.stop()}
          />
        </div>
        <section id="panels" aria-label="Panels" hidden={!open}>
          {open && <Panels state={state} controller={controller} />}
        </section>
      </main>
      <div class="hidden" aria-live="polite" id="announcer">
        {state.announced}
      </div>
    </div>
  );
}

function Header({ state, open, toggle }: { state: AppState; open: boolean; toggle(): void }) {
  const { link, session } = state;
  const { ready } = session;
  return (
    <header class="bar">
      <h1>Lockkeeper</h1>
      <span class="link" data-link={link.kind}>
        {linkState(link)}
      </span>
      {ready && (
        <span class="model">
          <Visible text={`${ready.provider} · ${ready.model}`} />
        </span>
      )}
      <span class="space" />
      <ThemeChoice />
      <button type="button" aria-expanded={open} aria-controls="panels" onClick={toggle}>
        Panels
      </button>
    </header>
  );
}

function useStore(controller: Controller): AppState {
  const [state, setState] = useState(controller.store.value);
  useEffect(() => {
    const look = (): void => setState(controller.store.value);
    look();
    return controller.store.watch(look);
  }, [controller]);
  return state;
}

/** The tab says that somebody is asked. */
function useTitle(questions: number): void {
  useEffect(() => {
    document.title = questions > 0 ? `(${questions}) Lockkeeper` : "Lockkeeper";
  }, [questions]);
}
