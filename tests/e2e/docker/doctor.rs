//! `lockkeeper doctor` and `lockkeeper image build`, by what they say.

use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Binaries, Tool, docker};
use serde_json::Value;
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixListener,
    },
    path::Path,
    process::{Output, Stdio},
    rc::Rc,
};
use tokio::process::Command;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = cases![
        an_engine_that_is_ready_is_said_to_be;
        an_image_that_is_not_there_is_told_from_an_engine_that_is_not;
        the_same_files_give_the_same_image;
    ]
    .into_iter()
    .map(Case::on_docker)
    .collect::<Vec<_>>();
    cases.extend(cases![
        an_engine_that_is_not_there_is_told_from_one_that_may_not_be_used;
        a_doctor_looks_at_everything_and_leaves_nothing;
        an_image_without_its_programs_is_told_with_what_provides_them;
    ]);
    cases
}

/// What a command that is no test's server says.
async fn lockkeeper(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(command(folder, arguments)?.output().await?)
}

fn command(folder: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(&Binaries::find()?.server);
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// What a doctor finds about Docker: whether it is content, and its first finding.
async fn doctor(folder: &Path, settings: &[String]) -> Result<(bool, Value)> {
    let mut arguments = vec!["doctor", "docker", "--json"];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    read(&lockkeeper(folder, &arguments).await?)
}

fn read(output: &Output) -> Result<(bool, Value)> {
    let findings: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no findings: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.success(), findings[0].clone()))
}

fn host(socket: &Path) -> String {
    format!("sandbox.docker.host=unix://{}", socket.display())
}

async fn an_engine_that_is_ready_is_said_to_be(ground: Rc<Ground>) -> Result<()> {
    let image = format!("sandbox.docker.image={}", docker::IMAGE);
    let (content, found) = doctor(ground.folder(), &[host(&docker::socket()), image]).await?;
    ensure!(content && found["level"] == "ok" && found["what"].to_string().contains(docker::IMAGE), "{found}");
    Ok(())
}

async fn an_image_that_is_not_there_is_told_from_an_engine_that_is_not(ground: Rc<Ground>) -> Result<()> {
    let image = "sandbox.docker.image=lockkeeper/nobody-built-this:0".to_owned();
    let (content, found) = doctor(ground.folder(), &[host(&docker::socket()), image]).await?;
    ensure!(!content && found["what"].to_string().contains("nobody-built-this"), "{found}");
    ensure!(found["fix"].to_string().contains("lockkeeper image build"), "{found}");
    Ok(())
}

async fn an_engine_that_is_not_there_is_told_from_one_that_may_not_be_used(ground: Rc<Ground>) -> Result<()> {
    const NOBODY: u32 = 65534;
    let (content, found) = doctor(ground.folder(), &[host(&ground.folder().join("nobody.sock"))]).await?;
    ensure!(!content && found["what"].to_string().contains("No such file"), "{found}");
    ensure!(found["fix"].to_string().contains("start"), "{found}");

    let socket = ground.folder().join("not-for-you.sock");
    let _engine = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000))?;
    let mut doctor = command(Path::new("/"), &["doctor", "docker", "--json", "--set", &host(&socket)])?;
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root.
        fs::set_permissions(ground.folder(), fs::Permissions::from_mode(0o755))?;
        doctor.uid(NOBODY).gid(NOBODY);
    }
    let (content, found) = read(&doctor.output().await?)?;
    ensure!(!content && found["what"].to_string().to_lowercase().contains("permission denied"), "{found}");
    ensure!(found["fix"].to_string().contains("group"), "{found}");
    Ok(())
}

async fn a_doctor_looks_at_everything_and_leaves_nothing(ground: Rc<Ground>) -> Result<()> {
    let socket = host(&ground.folder().join("nobody.sock"));
    let output = lockkeeper(ground.folder(), &["doctor", "--set", &socket]).await?;
    let said = String::from_utf8(output.stdout)?;
    for subject in ["config", "model", "store", "sandbox", "docker"] {
        ensure!(said.lines().any(|line| line.split_whitespace().nth(1) == Some(subject)), "{subject}: {said}");
    }
    ensure!(said.contains("fix: "), "{said}");
    let left = fs::read_dir(ground.folder())?.count();
    ensure!(left == 0, "{left} files are left");
    Ok(())
}

async fn an_image_without_its_programs_is_told_with_what_provides_them(ground: Rc<Ground>) -> Result<()> {
    let build = ["image", "build", "--dry-run", "--workspace", "/no/such/program"];
    let output = lockkeeper(ground.folder(), &build).await?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    let missing = String::from_utf8(output.stderr)?;
    ensure!(missing.contains("/no/such/program") && missing.contains("./scripts/workspace-static"), "{missing}");
    Ok(())
}

async fn the_same_files_give_the_same_image(ground: Rc<Ground>) -> Result<()> {
    let workspace = Tool::static_workspace().display().to_string();
    let folder = ground.folder().join("mcp");
    fs::create_dir(&folder)?;
    fs::write(folder.join("server.sh"), "#!/bin/sh\n")?;
    let add = format!("{}:/opt/mcp", folder.display());
    let arguments =
        ["image", "build", "--dry-run", "--tag", "lockkeeper/e2e:same", "--workspace", &workspace, "--add", &add];
    let build = async || -> Result<String> {
        let output = lockkeeper(ground.folder(), &arguments).await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let first = build().await?;
    ensure!(first.contains("sha256:"), "{first}");
    fs::File::open(folder.join("server.sh"))?.set_modified(std::time::UNIX_EPOCH)?;
    if rustix::process::geteuid().is_root() {
        chown(folder.join("server.sh"), Some(7), Some(7))?;
    }
    ensure!(build().await? == first, "the digests differ");
    fs::write(folder.join("server.sh"), "#!/bin/sh\ntrue\n")?;
    ensure!(build().await? != first, "the digests do not");
    Ok(())
}
