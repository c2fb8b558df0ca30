use crate::case::{Case, Ground, cases};
use anyhow::{Result, ensure};
use lockkeeper_tests::Program;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        javascript_over_websocket needs JavaScript;
        javascript_over_polling needs JavaScript;
        javascript_from_polling_to_websocket needs JavaScript;
        javascript_that_knows_the_eight_basic_events_alone needs JavaScript;
        javascript_that_loses_its_connection_resumes_by_itself needs JavaScript;
        javascript_with_a_bad_token_is_told_and_disconnected needs JavaScript;
        python_over_websocket needs Python;
        python_over_polling needs Python;
        python_from_polling_to_websocket needs Python;
    ]
}

async fn javascript(ground: &Ground, transports: &str) -> Result<()> {
    let server = ground.server().await?;
    for answer in ["approve", "deny"] {
        Program::javascript("full-loop.mjs")?.arg(server.url()).arg(transports).arg(answer).run().await?;
    }
    Ok(())
}

async fn javascript_over_websocket(ground: Rc<Ground>) -> Result<()> {
    javascript(&ground, "websocket").await
}

async fn javascript_over_polling(ground: Rc<Ground>) -> Result<()> {
    javascript(&ground, "polling").await
}

async fn javascript_from_polling_to_websocket(ground: Rc<Ground>) -> Result<()> {
    javascript(&ground, "polling,websocket").await
}

async fn javascript_that_knows_the_eight_basic_events_alone(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let said = Program::javascript("eight-events.mjs")?.arg(server.url()).run().await?;
    ensure!(said.contains("made-by-a-tool"), "{said}");
    Ok(())
}

async fn javascript_that_loses_its_connection_resumes_by_itself(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    Program::javascript("resume.mjs")?.arg(server.url()).run().await?;
    Ok(())
}

async fn javascript_with_a_bad_token_is_told_and_disconnected(ground: Rc<Ground>) -> Result<()> {
    let server = ground.setup().config("auth.tokens.alice = 'a-token-of-some-length-0123456789'").start().await?;
    Program::javascript("bad-token.mjs")?.arg(server.url()).run().await?;
    Ok(())
}

async fn python(ground: &Ground, transports: &str) -> Result<()> {
    let server = ground.server().await?;
    for answer in ["approve", "deny"] {
        Program::python("full_loop.py").arg(server.url()).arg(transports).arg(answer).run().await?;
    }
    Ok(())
}

async fn python_over_websocket(ground: Rc<Ground>) -> Result<()> {
    python(&ground, "websocket").await
}

async fn python_over_polling(ground: Rc<Ground>) -> Result<()> {
    python(&ground, "polling").await
}

async fn python_from_polling_to_websocket(ground: Rc<Ground>) -> Result<()> {
    python(&ground, "polling,websocket").await
}
