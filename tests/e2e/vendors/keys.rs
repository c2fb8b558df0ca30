use super::KEY;
use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Setup, Speech, Vendor, Wire, vendor_settings};
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_missing_key_is_told_by_its_variable_and_the_client_is_disconnected;
        a_provider_may_be_named_as_older_configurations_name_it;
    ]
}

/// As a developer starts it: with variables alone.
fn dev(ground: &Ground, provider: &str) -> Setup {
    Setup::dev(ground.folder()).config("sandbox.runtime = 'local'").env("LLM_PROVIDER", provider)
}

async fn a_missing_key_is_told_by_its_variable_and_the_client_is_disconnected(ground: Rc<Ground>) -> Result<()> {
    for (provider, variable) in
        [("claude", "ANTHROPIC_API_KEY"), ("openai", "OPENAI_API_KEY"), ("gemini", "GEMINI_API_KEY")]
    {
        let setup = dev(&ground, provider);
        let server = setup.start().await?;
        let mut client = server.connect().open_raw().await?;
        let error = client.until("error").await?;
        ensure!(error.text().contains(variable), "{provider}: {error:?}");
        let says_what_to_do = ["set", "Set"].iter().any(|word| error.text().contains(word));
        ensure!(says_what_to_do, "{provider}: what is to be done? {error:?}");
        client.until_closed().await.with_context(|| format!("{provider}: the client stays connected"))?;
        server.crash().await?;
    }
    Ok(())
}

async fn a_provider_may_be_named_as_older_configurations_name_it(ground: Rc<Ground>) -> Result<()> {
    for (alias, variable, wire) in [
        ("google", "GEMINI_API_KEY", Wire::Gemini),
        ("anthropic", "ANTHROPIC_API_KEY", Wire::Claude),
        ("chatgpt", "OPENAI_API_KEY", Wire::Responses),
    ] {
        let vendor = Vendor::scripted([wire.say(&Speech::text("It is me."))]).await?;
        let provider = wire.provider();
        let mut settings: toml::Table = vendor_settings(wire, vendor.url(), KEY).parse()?;
        let llm = settings["llm"].as_table_mut().context("a table")?;
        llm.remove("provider");
        llm[provider].as_table_mut().context("a table")?.remove("api_key");
        let setup = dev(&ground, alias).config(&settings.to_string()).env(variable, KEY);
        let server = setup.start().await?;
        let mut client = server.connect().open().await?;
        ensure!(client.ready["provider"] == provider, "{alias}: {}", client.ready);
        client.say("Who are you?").await?;
        ensure!(client.until("agent:response").await?.text() == "It is me.", "{alias}");
        let asked = vendor.asked();
        ensure!(wire.is_line(&asked[0].line) && asked[0].head.contains(KEY), "{alias}: {}", asked[0].line);
        server.crash().await?;
    }
    Ok(())
}
