// What there is besides the conversation, one at a time.

import { useState } from "preact/hooks";
import type { AppState, Controller } from "../app/controller.ts";
import { FramesPanel } from "./frames_panel.tsx";
import { SandboxPanel } from "./sandbox_panel.tsx";
import { SessionsPanel } from "./sessions_panel.tsx";
import { StatusPanel } from "./status_panel.tsx";
import { ToolsPanel } from "./tools_panel.tsx";
import { UsagePanel } from "./usage_panel.tsx";

const TABS = ["Sessions", "Tools", "Sandbox", "Usage", "Status", "Frames"] as const;
type Tab = (typeof TABS)[number];

export function Panels({ state, controller }: { state: AppState; controller: Controller }) {
  const [tab, setTab] = useState<Tab>("Sessions");
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = step === undefined ? undefined : TABS.at((TABS.indexOf(tab) + step) % TABS.length);
    if (next === undefined) return;
    event.preventDefault();
    setTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label="Panels" onKeyDown={onKeyDown}>
        {TABS.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={name === tab}
            aria-controls="tab-panel"
            tabIndex={name === tab ? 0 : -1}
            onClick={() => setTab(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="panel" id="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {tab === "Sessions" && <SessionsPanel state={state} controller={controller} />}
        {tab === "Tools" && <ToolsPanel state={state} controller={controller} />}
        {tab === "Sandbox" && <SandboxPanel state={state} controller={controller} />}
        {tab === "Usage" && <UsagePanel state={state} controller={controller} />}
        {tab === "Status" && <StatusPanel state={state} />}
        {tab === "Frames" && <FramesPanel frames={state.frames} clear={() => controller.clearFrames()} />}
      </div>
    </>
  );
}
