// The files of the sandbox, to look at: directories, parts of texts, images.

import { useState } from "preact/hooks";
import type { AppState, Controller } from "../app/controller.ts";
import type { FileEntry } from "../contract.ts";
import { isSettled } from "../session/state.ts";
import { useAsked } from "./asked.ts";
import { FilePreview } from "./file_preview.tsx";
import { bytes } from "./bytes.ts";
import { Visible } from "./text.tsx";

export function Files({ state, controller }: { state: AppState; controller: Controller }) {
  const [folder, setFolder] = useState<readonly string[]>([]);
  const [file, setFile] = useState<string | undefined>();
  const [looks, setLooks] = useState(0);
  const { sessionId, session, link } = state;
  const path = folder.join("/") || ".";
  // Whatever a call has done may be seen at once.
  const settled = [...session.calls.values()].filter(isSettled).length;
  const reasons = [sessionId, session.ready?.containerId, session.expired, path, settled, looks];
  const listing = useAsked(link.kind === "ready", () => controller.ask("workspace:list", { path }), reasons);
  const enter = (names: readonly string[]): void => {
    setFolder(names);
    setFile(undefined);
  };
  return (
    <section class="files" aria-label="Files">
      <div class="path">
        <Path folder={folder} enter={enter} />
        <button type="button" class="small" onClick={() => setLooks(looks + 1)}>
          Look again
        </button>
      </div>
      {listing.kind === "waiting" && <p class="quiet">Looking</p>}
      {listing.kind === "failed" && (
        <p class="quiet boxed">
          <Visible text={listing.problem} />
        </p>
      )}
      {listing.kind === "there" && (
        <>
          {listing.value.entries.length === 0 && <p class="quiet">There is nothing here yet.</p>}
          <ul class="entries">
            {sorted(listing.value.entries).map((entry) => (
              <EntryView
                key={entry.name}
                entry={entry}
                isOpen={entry.name === file}
                open={() => (entry.kind === "directory" ? enter([...folder, entry.name]) : setFile(entry.name))}
              />
            ))}
          </ul>
          {listing.value.leftOut !== undefined && (
            <p class="quiet">At least {listing.value.leftOut.toLocaleString("en")} more are not listed.</p>
          )}
        </>
      )}
      {file !== undefined && (
        <FilePreview
          key={`${path}/${file}`}
          path={[...folder, file].join("/")}
          looks={settled + looks}
          controller={controller}
          close={() => setFile(undefined)}
        />
      )}
    </section>
  );
}

function Path({ folder, enter }: { folder: readonly string[]; enter(names: readonly string[]): void }) {
  return (
    <nav aria-label="Folder">
      <ol>
        {["workspace", ...folder].map((name, depth) => (
          <li key={depth}>
            <button
              type="button"
              class="plain-button"
              aria-current={depth === folder.length ? "location" : undefined}
              onClick={() => enter(folder.slice(0, depth))}
            >
              <Visible text={name} />
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function EntryView({ entry, isOpen, open }: { entry: FileEntry; isOpen: boolean; open(): void }) {
  const { name, kind, size, target } = entry;
  const label = (
    <>
      <span class="name">
        <Visible text={name} />
        {kind === "directory" && "/"}
      </span>
      {size !== undefined && <span class="quiet">{bytes(size)}</span>}
      {target !== undefined && (
        <span class="quiet">
          leads to <Visible text={target} />
        </span>
      )}
    </>
  );
  if (kind === "link" || kind === "other") return <li class="entry">{label}</li>;
  return (
    <li>
      <button
        type="button"
        class="entry"
        data-kind={kind}
        aria-expanded={kind === "file" ? isOpen : undefined}
        onClick={open}
      >
        {label}
      </button>
    </li>
  );
}

/** Folders first, each by name. */
function sorted(entries: readonly FileEntry[]): FileEntry[] {
  const folders = entries.filter((entry) => entry.kind === "directory");
  return [...folders, ...entries.filter((entry) => entry.kind !== "directory")];
}
