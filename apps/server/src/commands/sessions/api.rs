use crate::chat::Address;
use anyhow::{Context as _, anyhow};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};

/// How long an answer may take: longer than a command may look for the server that drives its session.
const PATIENCE: Duration = Duration::from_secs(30);
/// What an operator's command says without a token.
pub(in crate::commands) const ADMIN_TOKEN: &str = "the server's admin token is needed: set `http.admin_token`, \
     LOCKKEEPER_HTTP__ADMIN_TOKEN or LOCKKEEPER_HTTP__ADMIN_TOKEN_FILE as the server has it, or give `--token`";
/// The largest answer that is taken, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// The API of one server: that of operators, or that of a user, who sees nobody else's sessions.
pub(in crate::commands) struct AdminClient {
    address: Address,
    token: Option<SecretString>,
    base: &'static str,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::commands) enum Failed {
    /// The server cannot be reached.
    Unreachable(anyhow::Error),
    /// It does not do what it was asked.
    Refused(anyhow::Error),
}

impl AdminClient {
    /// As an operator.
    pub(in crate::commands) fn new(address: Address, token: SecretString) -> Self {
        Self { address, token: Some(token), base: "/api/admin" }
    }

    /// As a user: whoever has this token, or everyone where the server asks for none.
    pub(in crate::commands) fn of_user(address: Address, token: Option<SecretString>) -> Self {
        Self { address, token, base: "/api" }
    }

    fn is_user(&self) -> bool {
        self.base == "/api"
    }

    /// The text of a session's audit.
    pub(in crate::commands) async fn audit(&self, session: &str) -> Result<String, Failed> {
        let answer = self.ask(Method::GET, &format!("{}/sessions/{session}/audit", self.base)).await?;
        let text = answer["audit"].as_str().map(str::to_owned);
        text.ok_or_else(|| Failed::Refused(anyhow!("the server at {} has no audit to give", self.address)))
    }

    pub(in crate::commands) async fn list(&self, owner: Option<&str>, limit: usize) -> Result<Value, Failed> {
        let mut query = format!("limit={limit}");
        if let Some(owner) = owner {
            query.push_str("&owner=");
            query.extend(owner.bytes().map(percent_encoded));
        }
        self.ask(Method::GET, &format!("{}/sessions?{query}", self.base)).await
    }

    pub(in crate::commands) async fn show(&self, session: &str) -> Result<Value, Failed> {
        if self.is_user() {
            return Err(Failed::Refused(anyhow!("{ADMIN_TOKEN}")));
        }
        self.ask(Method::GET, &format!("{}/sessions/{session}", self.base)).await
    }

    pub(in crate::commands) async fn end(&self, session: &str) -> Result<Value, Failed> {
        if self.is_user() {
            return self.ask(Method::POST, &format!("{}/sessions/{session}/end", self.base)).await;
        }
        self.ask(Method::DELETE, &format!("{}/sessions/{session}", self.base)).await
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Value, Failed> {
        let unreachable = |error: anyhow::Error| {
            Failed::Unreachable(error.context(format!("the server at {} cannot be reached", self.address)))
        };
        let exchange = timeout(PATIENCE, self.exchange(method, path));
        let in_time = exchange.await.map_err(|_| unreachable(anyhow!("it did not answer in {PATIENCE:?}")))?;
        let (status, body) = in_time.map_err(unreachable)?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            answer => Err(Failed::Refused(self.refusal(status, answer.as_ref()))),
        }
    }

    async fn exchange(&self, method: Method, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let authority = self.address.authority();
        let with_port = if self.address.has_port() { authority.to_owned() } else { format!("{authority}:80") };
        let stream = TcpStream::connect(with_port).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, authority);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        let request = request.body(Empty::<Bytes>::new()).context("the token cannot be sent")?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body =
                Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| anyhow!(error))?;
            Ok::<_, anyhow::Error>((status, body.to_bytes()))
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            answer = &mut answer => answer,
            // It ends when the answer is there, or cannot come.
            _ = &mut connection => answer.await,
        }
    }

    /// What a refusal says, and what to do about it.
    fn refusal(&self, status: StatusCode, answer: Option<&Value>) -> anyhow::Error {
        let said = |key: &str| answer.and_then(|answer| answer[key].as_str());
        let code = said("code").unwrap_or_default();
        // A server that has it says of everything whether it may be asked again.
        if status == StatusCode::NOT_FOUND && answer.is_none_or(|answer| answer["retryable"].is_null()) {
            return anyhow!(
                "the server at {} has no admin API: set `http.admin_token` in its configuration, and start it again",
                self.address
            );
        }
        let message = said("message").unwrap_or("it said nothing that can be understood");
        let hint = said("hint").map(|hint| format!(" {hint}")).unwrap_or_default();
        anyhow!("{message}{hint} ({}{}{code})", status.as_u16(), if code.is_empty() { "" } else { ", " })
    }
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(status: u16, answer: Option<&Value>) -> String {
        let client = AdminClient::new(Address::parse("there:1").expect("an address"), "a secret".into());
        client.refusal(StatusCode::from_u16(status).expect("a status"), answer).to_string()
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let unknown = json!({"code": "unauthenticated", "message": "This is for operators.", "hint": "Send it.", "retryable": false});
        assert_eq!(said(401, Some(&unknown)), "This is for operators. Send it. (401, unauthenticated)");
        let nothing = json!({"code": "not_found", "message": "There is no such session.", "retryable": false});
        assert_eq!(said(404, Some(&nothing)), "There is no such session. (404, not_found)");
        let no_api = json!({"code": "not_found", "message": "There is nothing here."});
        assert!(said(404, Some(&no_api)).contains("has no admin API: set `http.admin_token`"));
        assert_eq!(said(502, None), "it said nothing that can be understood (502)");
    }

    #[test]
    fn an_owners_name_goes_into_the_query_as_it_is() {
        let encoded: String = "zoë & co".bytes().map(percent_encoded).collect();
        assert_eq!(encoded, "zo%C3%AB%20%26%20co");
    }
}
