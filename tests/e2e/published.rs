use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Binaries, Fence, PATIENCE, Program, Tool, fences, package, repository, run_shell};
use std::{fs, os::unix::fs::symlink, process::Command, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        the_readmes_frontend_works_as_it_stands needs JavaScript;
        every_command_of_the_readme_works;
        the_static_workspace_binary_needs_no_loader_and_serves_a_session needs StaticWorkspace;
    ]
}

fn readme() -> Result<Vec<Fence>> {
    Ok(fences(&fs::read_to_string(repository().join("README.md"))?))
}

async fn the_readmes_frontend_works_as_it_stands(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let readme = readme()?;
    let frontend = readme.iter().find(|fence| fence.language == "js").context("the README has no frontend")?;
    ensure!(frontend.text.contains("http://127.0.0.1:3000"), "the README's frontend connects elsewhere");
    let code = frontend.text.lines().filter(|line| !line.trim().is_empty()).count();
    ensure!(code <= 10, "ten lines are promised, these are {code}");
    symlink(package(""), ground.folder().join("node_modules"))?;
    let file = ground.folder().join("frontend.mjs");
    fs::write(&file, frontend.text.replace("http://127.0.0.1:3000", server.url()))?;
    let said = Program::javascript_at(&file)?.run().await?;
    ensure!(said.contains("list_files"), "the call was not shown: {said}");
    Ok(())
}

/// Every `sh` block says what it is: `run` is run as it stands, `server` starts a server, `ci` is what CI runs.
async fn every_command_of_the_readme_works(ground: Rc<Ground>) -> Result<()> {
    let ci = fs::read_to_string(repository().join(".ci/run"))?;
    let mut played = 0;
    for fence in readme()?.iter().filter(|fence| fence.language == "sh") {
        let at = format!("README.md:{}", fence.line);
        match fence.marks.first().map(String::as_str) {
            Some("run") => drop(run_shell(&fence.text, ground.folder()).await.context(at)?),
            Some("server") => starts_a_server(&fence.text, &ground).await.context(at)?,
            Some("ci") => ensure!(ci.contains(fence.text.trim()), "{at}: CI does not run {}", fence.text),
            mark => anyhow::bail!("{at}: the block says {mark:?}, and not whether it is run"),
        }
        played += 1;
    }
    ensure!(played >= 4, "only {played} blocks with commands");
    Ok(())
}

async fn starts_a_server(command: &str, ground: &Ground) -> Result<()> {
    let folder = tempfile::TempDir::new_in(ground.folder())?;
    let setup = lockkeeper_tests::Setup::shell(command.trim(), folder.path());
    let server = setup.start().await?;
    let said = setup.log();
    let token = said.split("token=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let connect = token.map_or_else(|| server.connect(), |token| server.connect().auth("token", token));
    let mut client = connect.open().await?;
    client.say(&script(&[run("echo as the README says")])).await?;
    client.approve_all().await?;
    Ok(())
}

async fn the_static_workspace_binary_needs_no_loader_and_serves_a_session(ground: Rc<Ground>) -> Result<()> {
    let program = Tool::static_workspace();
    ensure!(Binaries::find()?.workspace != program);
    let ldd = Command::new("ldd").arg(&program).output()?;
    let said = String::from_utf8_lossy(&ldd.stdout) + String::from_utf8_lossy(&ldd.stderr);
    ensure!(said.contains("statically linked") || said.contains("not a dynamic executable"), "{said}");
    let setup = ground.setup().config(&format!("mcp.workspace_program = '{}'", program.display()));
    let server = setup.start().await?;
    let mut client = server.connect().open().await?;
    client.say(&script(&[run("echo static")])).await?;
    let events = tokio::time::timeout(PATIENCE, client.approve_all()).await??;
    ensure!(events.iter().any(|event| event.name == "tool:output" && stdout(event).contains("static")));
    Ok(())
}
