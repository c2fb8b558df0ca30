//! What deploy/ ships, as far as it can be checked without a cluster and without an init system.

use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Binaries, Program, repository};
use std::{fs, process::Command, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        the_manifests_are_valid_and_their_settings_exist needs Python;
        the_units_of_systemd_are_valid_and_hold_the_server needs Systemd;
    ]
}

async fn the_manifests_are_valid_and_their_settings_exist(ground: Rc<Ground>) -> Result<()> {
    let program = Program::python("manifests.py").arg(repository().join("deploy")).arg(&Binaries::find()?.server);
    program.arg(ground.folder()).run().await.map(drop)
}

/// Verified with programs that are there in place of those that an installation has, and with a user that is.
async fn the_units_of_systemd_are_valid_and_hold_the_server(ground: Rc<Ground>) -> Result<()> {
    let server = Binaries::find()?.server.display().to_string();
    let dropins = ground.folder().join("local/lockkeeper.service.d");
    fs::create_dir_all(&dropins)?;
    for name in ["lockkeeper.service", "lockkeeper-engine.service"] {
        let unit = fs::read_to_string(repository().join("deploy/systemd").join(name))?;
        let unit = unit.replace("/usr/local/bin/lockkeeper", &server).replace("/usr/bin/dockerd-rootless.sh", &server);
        let unit = unit.replace("User=lockkeeper", "User=daemon").replace("Group=lockkeeper", "Group=daemon");
        fs::write(ground.folder().join(name), &unit)?;
        fs::write(ground.folder().join("local").join(name), &unit)?;
    }
    fs::copy(repository().join("deploy/systemd/lockkeeper-local.conf"), dropins.join("local.conf"))?;
    for folder in [ground.folder().to_owned(), ground.folder().join("local")] {
        for name in ["lockkeeper.service", "lockkeeper-engine.service"] {
            let verified = Command::new("systemd-analyze").arg("verify").arg(folder.join(name)).output()?;
            let said = String::from_utf8_lossy(&verified.stderr);
            ensure!(verified.status.success() && !said.contains(name), "{}: {said}", folder.display());
        }
    }
    // Its own measure, from 0.0 (nothing is allowed) to 10.0.
    let unit = ground.folder().join("lockkeeper.service");
    let judged =
        Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&unit).output()?;
    let said = String::from_utf8_lossy(&judged.stdout);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).context("it says nothing")?;
    ensure!(judged.status.success(), "more is allowed than before: {last}");
    Ok(())
}
