//! What tools, MCP servers, and models say, made fit for the model, the browser and the log before any of them gets it.

use lockkeeper_domain::{Content, KnownContent, ToolResult};
use lockkeeper_ports::McpServer;
use lockkeeper_sanitizer::{Config, Found, Sanitizer, Stream, clean_schema};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// Cleans results of tools, and finds secrets in what models want to send.
#[derive(Debug)]
pub(crate) struct Output {
    config: Config,
    known: RwLock<Known>,
}

/// The secrets that are known by heart, and what looks for them.
#[derive(Debug)]
struct Known {
    secrets: Vec<SecretString>,
    sanitizer: Arc<Sanitizer>,
}

impl Output {
    /// Knows `secrets` by heart, and those settings of the MCP servers that are secrets by their names.
    pub(crate) fn new(config: &Config, secrets: &[SecretString], servers: &[McpServer]) -> Self {
        let secrets: Vec<_> = secrets.iter().cloned().chain(secrets_of(servers)).collect();
        let sanitizer = Arc::new(Sanitizer::new(config.clone(), &secrets));
        Self { config: config.clone(), known: RwLock::new(Known { secrets, sanitizer }) }
    }

    /// Knows the secrets of further servers too. Those of earlier ones stay known: such a server may still run.
    pub(crate) fn learn(&self, servers: &[McpServer]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets_of(servers) {
            if !known.secrets.iter().any(|old| old.expose_secret() == secret.expose_secret()) {
                known.secrets.push(secret);
            }
        }
        known.sanitizer = Arc::new(Sanitizer::new(self.config.clone(), &known.secrets));
    }

    fn sanitizer(&self) -> Arc<Sanitizer> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).sanitizer)
    }

    /// The result, cleaned, with no more text in all than one text may have, and no more of images and
    /// other data than one result may have. What is no image by its first bytes becomes a line of text.
    pub(crate) fn clean(&self, result: ToolResult) -> ToolResult {
        let sanitizer = self.sanitizer();
        let mut room = self.config.max_bytes;
        let mut image_room = self.config.max_image_bytes;
        let mut left_out = 0;
        let mut content = Vec::with_capacity(result.content.len());
        for part in result.content {
            let part = cleaned(&sanitizer, part, &mut image_room);
            let length = part.as_text().map_or(0, str::len);
            if length > room {
                left_out += length;
            } else {
                room -= length;
                content.push(part);
            }
        }
        if left_out > 0 {
            content.push(Content::text(format!("[left out: {left_out} bytes of further text]")));
        }
        let structured = result.structured.map(|value| sanitizer.clean_json(value));
        ToolResult { content, structured, ..result }
    }

    /// A secret that would leave with these arguments.
    pub(crate) fn secret_in(&self, args: &Value) -> Option<Found> {
        self.sanitizer().find_in(args)
    }

    /// A text, cleaned.
    pub(crate) fn text(&self, text: &str) -> String {
        self.sanitizer().clean(text)
    }

    /// A text that arrives in pieces.
    pub(crate) fn stream(&self) -> Stream {
        Stream::new(self.sanitizer())
    }

    /// The schema with clean texts; `None` if that would change what it means.
    pub(crate) fn schema(&self, schema: &Value) -> Option<Value> {
        let sanitizer = self.sanitizer();
        let clean = |text: &str| sanitizer.clean(text);
        clean_schema(schema, &clean, &clean)
    }
}

fn cleaned(sanitizer: &Sanitizer, part: Content, room: &mut usize) -> Content {
    match part {
        Content::Known(KnownContent::Text { text }) => Content::text(sanitizer.clean(&text)),
        Content::Known(KnownContent::Image { data, .. }) => match sanitizer.image(&data, *room) {
            Ok((kind, size)) => {
                *room -= size;
                Content::image(data, kind)
            }
            Err(unfit) => Content::text(unfit.0),
        },
        Content::Other(value) => {
            for data in [value.pointer("/data"), value.pointer("/resource/blob")].into_iter().flatten() {
                let fits = data.as_str().map(|data| sanitizer.data(data, *room, "data"));
                match fits {
                    Some(Ok(bytes)) => *room -= bytes.len(),
                    Some(Err(unfit)) => return Content::text(unfit.0),
                    None => {}
                }
            }
            match sanitizer.clean_json(value) {
                Value::String(said) => Content::text(said),
                value => Content::Other(value),
            }
        }
    }
}

/// Those settings of servers that are secrets by their names.
fn secrets_of(servers: &[McpServer]) -> impl Iterator<Item = SecretString> {
    let settings = servers.iter().flat_map(|server| &server.env);
    settings.filter(|(name, _)| names_a_secret(name)).map(|(_, value)| value.clone())
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::ServerName;
    use serde_json::json;

    fn output() -> Output {
        let env = [("API_KEY", "correct-horse"), ("MODE", "production")];
        let env = env.map(|(name, value)| (name.to_owned(), SecretString::from(value))).into();
        let server = McpServer { name: ServerName::new("s"), command: Vec::new(), env, tools: None, advice: None };
        Output::new(&Config { max_bytes: 1024, ..Config::default() }, &[SecretString::from("told-by-heart")], &[server])
    }

    #[test]
    fn secrets_of_the_configuration_do_not_come_back_and_plain_settings_do() {
        let result = ToolResult::succeeded(vec![Content::text("correct-horse told-by-heart in production\u{1b}[2J")]);
        let clean = output().clean(result).content[0].as_text().expect("text").to_owned();
        assert_eq!(clean.matches("[REDACTED:secret:").count(), 2);
        assert!(clean.ends_with(" in production"), "{clean}");
        assert!(output().secret_in(&json!({"body": "correct-horse"})).is_some());
        assert!(output().secret_in(&json!({"body": "production"})).is_none());
    }

    #[test]
    fn secrets_of_further_servers_are_learned_and_none_is_forgotten() {
        let output = output();
        let env = [("TOKEN".to_owned(), SecretString::from("battery-staple"))].into();
        output.learn(&[McpServer {
            name: ServerName::new("later"),
            command: Vec::new(),
            env,
            tools: None,
            advice: None,
        }]);
        let result = ToolResult::succeeded(vec![Content::text("correct-horse battery-staple told-by-heart")]);
        let clean = output.clean(result).content[0].as_text().expect("text").to_owned();
        assert_eq!(clean.matches("[REDACTED:secret:").count(), 3, "{clean}");
    }

    #[test]
    fn many_parts_have_no_more_room_than_one() {
        let part = || Content::text("x".repeat(400));
        let other = Content::Other(json!({"type": "resource", "resource": {"text": "\u{202e}y"}}));
        let result = ToolResult::succeeded(vec![part(), other, part(), part()]);
        let clean = output().clean(result);
        assert_eq!(clean.content.len(), 4);
        assert_eq!(clean.content[1], Content::Other(json!({"type": "resource", "resource": {"text": "\\u{202E}y"}})));
        assert_eq!(clean.content[3].as_text(), Some("[left out: 400 bytes of further text]"));
    }

    /// Covers: S2-4
    #[test]
    fn images_are_typed_by_their_bytes() {
        let png = "iVBORw0KGgoAAAAN";
        let parts = vec![Content::image(png, "image/svg+xml\"><script>\u{1b}"), Content::image("ghp_!!", "image/png")];
        let clean = output().clean(ToolResult::succeeded(parts));
        assert_eq!(clean.content[0], Content::image(png, "image/png"));
        assert_eq!(clean.content[1].as_text(), Some("[left out: an image of 6 characters that are not base64]"));
    }

    /// Covers: S2-4
    #[test]
    fn secrets_behind_encodings_are_found_in_arguments() {
        let texts = [
            "correct\u{200b}-horse",
            "correct\\u002dhorse",
            "correct%2dhorse",
            "esroh-tcerroc",
            "eyJhIjoiY29ycmVjdC1ob3JzZSJ9",
        ];
        for text in texts {
            assert!(output().secret_in(&json!({"a": [text]})).is_some(), "{text}");
        }
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let hidden = token.replace('B', "\u{2060}B");
        assert!(output().secret_in(&json!({"a": hidden})).is_some());
    }
}
