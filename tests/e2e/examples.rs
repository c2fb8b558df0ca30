//! The examples of the documentation, as they are.

use crate::case::{Case, Ground, cases};
use anyhow::{Result, ensure};
use lockkeeper_tests::{Program, package, repository, run_shell};
use std::{fs, net::TcpListener, os::unix::fs::symlink, path::PathBuf, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        javascript_in_the_terminal needs JavaScript;
        python_in_the_terminal needs Python;
        a_page_without_a_build needs Browser, JavaScript;
    ]
}

fn example(name: &str) -> PathBuf {
    repository().join("docs/examples").join(name)
}

/// What a user types, and what comes of it: one call that is allowed, and one that is not.
async fn converses(command: &str, ground: &Ground) -> Result<()> {
    let typed = "'run `echo made-by-the-example`' y 'run `echo refused-by-the-example`' n";
    let said = run_shell(&format!("printf '%s\\n' {typed} | {command}"), ground.folder()).await?;
    ensure!(said.contains("is ready, in the session"), "{said}");
    ensure!(said.contains("made-by-the-example\n"), "the call that was allowed did not run: {said}");
    ensure!(said.contains("The user said no."), "the refusal was not shown: {said}");
    ensure!(!said.contains("refused-by-the-example\n"), "the call that was refused ran: {said}");
    Ok(())
}

async fn javascript_in_the_terminal(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    symlink(package(""), ground.folder().join("node_modules"))?;
    let file = ground.folder().join("chat.mjs");
    fs::copy(example("chat.mjs"), &file)?;
    converses(&format!("node {} {}", file.display(), server.url()), &ground).await
}

async fn python_in_the_terminal(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let python = "tests/clients/python/.venv/bin/python";
    converses(&format!("{python} {} {}", example("chat.py").display(), server.url()), &ground).await
}

async fn a_page_without_a_build(ground: Rc<Ground>) -> Result<()> {
    // The page is another origin than the server, and its instructions name the setting.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let settings = format!("gateway.allowed_origins = ['http://127.0.0.1:{port}']");
    let server = ground.setup().config(&settings).start().await?;
    let library = package("socket.io-client/dist/socket.io.min.js");
    let program = Program::browser("example.mjs", ground.folder())?;
    program.arg(server.url()).arg(example("chat.html")).arg(library).arg(&port).run().await?;
    Ok(())
}
