use axum::{
    http::{HeaderName, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The page that says how to connect. It has no script and loads nothing.
#[derive(Clone)]
pub(crate) struct Page {
    html: Arc<str>,
    policy: Arc<str>,
}

const STYLE: &str = ":root{color-scheme:light dark;font:1rem/1.6 system-ui,sans-serif}\
body{max-width:44rem;margin:3rem auto;padding:0 1rem}\
code,pre{font-family:ui-monospace,monospace;font-size:.9rem}\
pre{padding:1rem;overflow-x:auto;border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:.5rem}\
h1{margin-bottom:0}";

const CLIENT: &str = r#"import { io } from "socket.io-client";

const socket = io(location.origin, { query: { sessionId: "demo" }, auth: { token: "..." } });
socket.on("system:ready", () => socket.emit("message", "List the files."));
socket.on("agent:response", (text) => console.log(text));
socket.on("tool:approval_required", ({ callId, name, args }) =>
  socket.emit("tool:approval", { callId, approved: confirm(name + " " + JSON.stringify(args)) }));
socket.on("agent:error", (problem) => console.error(problem));
socket.on("error", (reason) => console.error(reason));"#;

impl Page {
    pub(crate) fn new(version: &str) -> Self {
        let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let (client, version) = (escape(CLIENT), escape(version));
        let html = format!(
            r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Lockkeeper</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Lockkeeper runs</h1>
<p>Version {version}. This server speaks Socket.IO at <code>/socket.io/</code> on this address, over WebSocket and polling.</p>
<h2>Connect</h2>
<p>With the JavaScript client, in ten lines:</p>
<pre><code>{client}</code></pre>
<p>The token is one of the configuration's, and not needed where the server listens on this machine alone. Every tool call
waits for an answer to <code>tool:approval_required</code>, unless a rule of the operator lets it run.</p>
<h2>Look</h2>
<ul>
<li><a href="/readyz">/readyz</a> says whether sessions can be served now, and if not, why</li>
<li><a href="/healthz">/healthz</a> says whether the process runs</li>
<li><a href="/version">/version</a> says what runs</li>
</ul>
<p>The documentation is in the folder <code>docs</code> of
<a href="https://github.com/lockkeeper/lockkeeper">the repository</a>.</p>
</main>
</body>
</html>
"#
        );
        Self { html: html.into(), policy: policy.into() }
    }

    pub(crate) fn show(&self) -> Response {
        let headers: [(HeaderName, String); 2] = [
            (header::CONTENT_SECURITY_POLICY, self.policy.to_string()),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
        ];
        (headers, Html(self.html.to_string())).into_response()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
