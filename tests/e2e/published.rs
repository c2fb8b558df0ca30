//! What README.md and the pages of docs/ say, and what the help of the commands says, done as it stands.

mod help;

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{
    Binaries, Fence, PATIENCE, Program, Tool, broken_links, fences, package, repository, run_shell,
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = cases![
        the_published_frontends_work_as_they_stand needs JavaScript;
        every_command_of_the_pages_works;
        every_link_leads_somewhere;
        the_page_of_adapters_shows_the_code_that_is_tested;
        the_static_workspace_binary_needs_no_loader_and_serves_a_session needs StaticWorkspace;
    ];
    cases.extend(help::cases());
    cases
}

/// The Markdown pages of a folder, by their paths in the repository.
fn pages_of(folder: &str) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(repository().join(folder))? {
        let path = Path::new(folder).join(entry?.file_name());
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}

/// What users read first: each block of code, and where it stands.
fn blocks() -> Result<Vec<(String, Fence)>> {
    let mut blocks = Vec::new();
    let pages = [vec![PathBuf::from("README.md")], pages_of("docs")?].concat();
    for page in pages {
        let found = fences(&fs::read_to_string(repository().join(&page))?);
        blocks.extend(found.into_iter().map(|fence| (format!("{}:{}", page.display(), fence.line), fence)));
    }
    Ok(blocks)
}

/// In the README the first block, elsewhere those that are marked so.
async fn the_published_frontends_work_as_they_stand(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    symlink(package(""), ground.folder().join("node_modules"))?;
    let frontends = blocks()?
        .into_iter()
        .filter(|(at, fence)| fence.language == "js" && (at.starts_with("README.md") || fence.marks == ["frontend"]));
    let mut played = 0;
    for (at, frontend) in frontends {
        ensure!(frontend.text.contains("http://127.0.0.1:3000"), "{at}: the frontend connects elsewhere");
        let code = frontend.text.lines().filter(|line| !line.trim().is_empty()).count();
        ensure!(code <= 10, "{at}: ten lines are promised, these are {code}");
        let file = ground.folder().join("frontend.mjs");
        fs::write(&file, frontend.text.replace("http://127.0.0.1:3000", server.url()))?;
        let said = Program::javascript_at(&file)?.run().await.context(at)?;
        ensure!(said.contains("list_files"), "the call was not shown: {said}");
        played += 1;
    }
    ensure!(played == 2, "{played} frontends, in README.md and docs/quickstart.md");
    Ok(())
}

/// Every `sh` block says what it is: `run` is run as it stands, `server` starts a server, `ci` is what CI runs.
async fn every_command_of_the_pages_works(ground: Rc<Ground>) -> Result<()> {
    let ci =
        fs::read_to_string(repository().join(".ci/run"))? + &fs::read_to_string(repository().join("scripts/test"))?;
    let mut played = 0;
    for (at, fence) in blocks()?.into_iter().filter(|(_, fence)| fence.language == "sh") {
        match fence.marks.first().map(String::as_str) {
            Some("run") => drop(run_shell(&fence.text, ground.folder()).await.context(at)?),
            Some("server") => starts_a_server(&fence.text, &ground).await.context(at)?,
            Some("ci") => ensure!(ci.contains(fence.text.trim()), "{at}: CI does not run {}", fence.text),
            mark => anyhow::bail!("{at}: the block says {mark:?}, and not whether it is run"),
        }
        played += 1;
    }
    ensure!(played >= 9, "only {played} blocks with commands");
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
    client.say(&script(&[run("echo as the page says")])).await?;
    client.approve_all().await?;
    Ok(())
}

async fn every_link_leads_somewhere(_: Rc<Ground>) -> Result<()> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("tests/README.md")];
    for folder in ["docs", "docs/adr", "deploy/kubernetes"] {
        pages.extend(pages_of(folder)?);
    }
    let mut broken = Vec::new();
    for page in &pages {
        broken.extend(broken_links(&repository(), page).with_context(|| page.display().to_string())?);
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    ensure!(pages.len() > 20, "only {} pages", pages.len());
    Ok(())
}

/// A block whose mark is a path shows that file.
async fn the_page_of_adapters_shows_the_code_that_is_tested(_: Rc<Ground>) -> Result<()> {
    let mut shown = 0;
    for (at, fence) in blocks()?.into_iter().filter(|(_, fence)| fence.language == "rust") {
        let path = fence.marks.first().with_context(|| format!("{at}: the block does not say which file it shows"))?;
        let file = fs::read_to_string(repository().join(path)).with_context(|| format!("{at}: {path}"))?;
        ensure!(file == fence.text, "{at}: {path} has other code by now: copy it into the page");
        shown += 1;
    }
    ensure!(shown >= 2, "only {shown} files are shown");
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
