use crate::health::refusal;
use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

/// A file of the console, as it was built.
#[derive(Debug)]
pub(crate) struct File {
    /// Where it lies, without a slash before it.
    pub(crate) path: &'static str,
    pub(crate) bytes: &'static [u8],
    pub(crate) gzip: Option<&'static [u8]>,
}

impl File {
    /// Whether it is Socket.IO's client for pages to load, and no file of the console.
    fn is_client(&self) -> bool {
        self.path.starts_with("socket.io/")
    }

    fn tag(&self) -> String {
        format!("\"{}\"", &hex(&Sha256::digest(self.bytes))[..32])
    }
}

/// The web console, out of this program's own memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    files: &'static [File],
}

/// What the page may do: run and show its own files, and speak with this server. Nothing inline, nothing evaluated, and no
/// text that becomes markup (`trusted-types`). Images of tools are `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

impl Console {
    /// The console, where it was built before this program was.
    pub(crate) fn built() -> Option<Self> {
        const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/console_files.rs"));
        Some(Self { files: FILES }).filter(|console| !console.files.is_empty())
    }

    /// A route for each file of the console. The page itself is `/`.
    pub(crate) fn routes(self) -> Router {
        let files = self.files.iter().filter(|file| !file.is_client());
        files.fold(Router::new(), |router, file| {
            let path = if file.path == "index.html" { "/".to_owned() } else { format!("/{}", file.path) };
            let tag = file.tag();
            router.route(&path, get(move |headers: HeaderMap| std::future::ready(serve(file, &tag, &headers))))
        })
    }

    /// The route of the JavaScript client, for pages that are not the console's. It is there without the client, too, and
    /// then says why.
    pub(crate) fn client_route() -> Router {
        let files = Self::built().map(|console| console.files).unwrap_or_default();
        Router::new()
            .route("/socket.io/{file}", get(move |name, headers| std::future::ready(client(files, &name, &headers))))
    }
}

fn client(files: &'static [File], Path(name): &Path<String>, asked: &HeaderMap) -> Response {
    let named = |file: &&File| file.path.strip_prefix("socket.io/") == Some(name);
    match files.iter().find(named) {
        Some(file) => serve(file, &file.tag(), asked),
        None => missing_client(),
    }
}

/// The client comes with the console: npm has it, and the build takes it from there.
fn missing_client() -> Response {
    let message = "There is no such file. The JavaScript client is socket.io.js, socket.io.min.js or socket.io.esm.min.js, \
         in servers that were built after the console (scripts/console); npm and CDNs have it as socket.io-client.";
    refusal(StatusCode::NOT_FOUND, "not_found", message)
}

fn serve(file: &'static File, tag: &str, asked: &HeaderMap) -> Response {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    // What is built into `assets` has its hash in its name.
    let cache = if file.path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    // The client is a public script, for the pages of other servers too.
    let readers = if file.is_client() { "cross-origin" } else { "same-origin" };
    let headers = [
        (header::CONTENT_TYPE, media_type(file.path)),
        (header::CACHE_CONTROL, cache),
        (header::ETAG, tag),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), readers),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    if known.is_some_and(|tags| tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    match file.gzip.filter(|_| takes_gzip(asked)) {
        Some(packed) => (headers, [(header::CONTENT_ENCODING, "gzip")], Body::from(packed)).into_response(),
        None => (headers, Body::from(file.bytes)).into_response(),
    }
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let all = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let weight =
            parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.trim().parse::<f32>().ok());
        named && weight.is_none_or(|weight| weight > 0.0)
    })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    const FILES: &[File] = &[
        File { path: "index.html", bytes: b"<!doctype html>", gzip: None },
        File { path: "assets/a-1.js", bytes: b"whole", gzip: Some(b"packed") },
        File { path: "socket.io/socket.io.js", bytes: b"client", gzip: None },
    ];

    async fn ask(path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        for (name, value) in headers {
            request.headers_mut().append(name, value.parse().expect("a header"));
        }
        let answer = Console { files: FILES }.routes().oneshot(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        (head.status, head.headers, body.collect().await.expect("a body").to_bytes().to_vec())
    }

    #[tokio::test]
    async fn the_page_is_looked_at_anew_and_may_run_its_own_files_alone() {
        let (status, headers, body) = ask("/", &[]).await;
        assert_eq!((status, &*body), (StatusCode::OK, &b"<!doctype html>"[..]));
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
        assert_eq!(ask("/index.html", &[]).await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask("/assets/../index.html", &[]).await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_file_with_its_hash_in_its_name_is_kept_and_comes_packed_to_whom_can_read_that() {
        let (_, headers, body) = ask("/assets/a-1.js", &[]).await;
        assert_eq!(body, b"whole");
        assert!(headers[header::CACHE_CONTROL].to_str().expect("text").contains("immutable"));
        assert_eq!(headers[header::VARY], "accept-encoding");
        for (asked, wanted) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("br", false),
            ("x-gzip-not", false),
            ("", false),
        ] {
            let (_, headers, body) = ask("/assets/a-1.js", &[(header::ACCEPT_ENCODING, asked)]).await;
            assert_eq!(body == b"packed", wanted, "{asked}");
            assert_eq!(headers.contains_key(header::CONTENT_ENCODING), wanted, "{asked}");
        }
    }

    #[tokio::test]
    async fn client_is_there_for_pages_of_other_servers() {
        let get = |name: &str| client(FILES, &Path(name.to_owned()), &HeaderMap::new());
        let answer = get("socket.io.js");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(answer.headers()["cross-origin-resource-policy"], "cross-origin");
        assert_eq!(ask("/socket.io/socket.io.js", &[]).await.0, StatusCode::NOT_FOUND, "it is not the console's");
        for other in ["index.html", "../index.html", "socket.io.js.map", ""] {
            assert_eq!(get(other).status(), StatusCode::NOT_FOUND, "{other}");
        }
        let missing = client(&[], &Path("socket.io.js".to_owned()), &HeaderMap::new());
        let body = missing.into_body().collect().await.expect("a body").to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("scripts/console"), "{body:?}");
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let tag = ask("/", &[]).await.1[header::ETAG].to_str().expect("text").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            let (status, headers, body) = ask("/", &[(header::IF_NONE_MATCH, &known)]).await;
            assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(headers[header::ETAG], tag.as_str());
        }
        assert_eq!(ask("/", &[(header::IF_NONE_MATCH, "\"other\"")]).await.0, StatusCode::OK);
    }
}
