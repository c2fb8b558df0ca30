//! What `dev` says when it has started: what it chose, why, and how to get the real thing.

use std::fmt;

/// One choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What it stands for the real thing, and not the real thing itself.
    pub(crate) is_stand_in: bool,
    pub(crate) name: String,
    pub(crate) what: String,
    /// How to get another one, or what to know.
    pub(crate) hint: String,
}

/// All choices, and where to go.
#[derive(Clone, Debug)]
pub(crate) struct Banner {
    pub(crate) model: Choice,
    pub(crate) sandbox: Choice,
    pub(crate) store: Choice,
    pub(crate) approval: Choice,
    /// As in `http://127.0.0.1:3000`.
    pub(crate) url: String,
    /// The token that a client shows; none where none is needed.
    pub(crate) token: Option<String>,
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows =
            [("model", &self.model), ("sandbox", &self.sandbox), ("store", &self.store), ("approval", &self.approval)];
        let width =
            |text: fn(&Choice) -> &str| rows.iter().map(|(_, row)| text(row).chars().count()).max().unwrap_or(0);
        let (names, whats) = (width(|row| &row.name), width(|row| &row.what).min(48));
        for (title, Choice { is_stand_in, name, what, hint }) in rows {
            let mark = if *is_stand_in { '!' } else { '+' };
            let row = format!("  {title:<8}  {mark} {name:<names$}  {what:<whats$}  {hint}");
            writeln!(f, "{}", row.trim_end())?;
        }
        let token = self.token.as_ref().map(|token| format!("#token={token}")).unwrap_or_default();
        writeln!(f, "  Console   {url}/{token}    Socket.IO  {url}/socket.io/", url = self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(is_stand_in: bool, name: &str, what: &str, hint: &str) -> Choice {
        Choice { is_stand_in, name: name.into(), what: what.into(), hint: hint.into() }
    }

    #[test]
    fn the_banner_lines_up() {
        let banner = Banner {
            model: choice(true, "demo", "scripted replies, no network", "set LLM_PROVIDER"),
            sandbox: choice(true, "local", "namespaces, seccomp", "no memory limit"),
            store: choice(false, "embedded", ".lockkeeper/store.redb", ""),
            approval: choice(false, "ask", "every tool call asks you", ""),
            url: "http://127.0.0.1:3000".into(),
            token: Some("t".into()),
        };
        let expected = "  \
  model     ! demo      scripted replies, no network  set LLM_PROVIDER
  sandbox   ! local     namespaces, seccomp           no memory limit
  store     + embedded  .lockkeeper/store.redb
  approval  + ask       every tool call asks you
  Console   http://127.0.0.1:3000/#token=t    Socket.IO  http://127.0.0.1:3000/socket.io/
";
        assert_eq!(banner.to_string(), expected);
    }
}
