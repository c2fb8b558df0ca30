use crate::tool::{clients, program, repository};
use std::path::PathBuf;

/// Why the console cannot be looked at in a browser here, and what provides it; `None` when it can.
pub(crate) fn missing() -> Option<String> {
    if program("node").is_none() {
        return Some("Node.js 20 or later is not on the PATH; `./scripts/test` says how to get it".to_owned());
    }
    let Some(_) = chromium() else {
        return Some("Chromium is not on the PATH; run `apt-get install chromium`".to_owned());
    };
    if !clients().join("browser/node_modules/playwright-core/package.json").exists() {
        return Some(
            "the browser's npm packages are not installed; run `npm ci --prefix tests/clients/browser`".to_owned(),
        );
    }
    let built = repository().join("apps/console/dist/index.html").exists();
    (!built).then(|| "the console is not built; run `./scripts/console`".to_owned())
}

/// Where the browser is.
pub(crate) fn chromium() -> Option<PathBuf> {
    program("chromium").or_else(|| program("chromium-browser"))
}
