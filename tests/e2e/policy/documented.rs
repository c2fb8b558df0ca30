use crate::case::Ground;
use anyhow::{Result, ensure};
use lockkeeper_tests::{Binaries, repository};
use std::{
    fs,
    process::{Command, Stdio},
    rc::Rc,
};

/// What `config check` needs besides rules.
const REST: &str = "store.kind = 'memory'\nsandbox.runtime = 'local'\nllm.provider = 'demo'\n";

pub(super) async fn every_example_of_the_documentation_is_a_configuration(ground: Rc<Ground>) -> Result<()> {
    let text = fs::read_to_string(repository().join("docs/policy.md"))?;
    let (good, bad) = (blocks(&text, "toml"), blocks(&text, "toml wrong"));
    ensure!(good.len() >= 6 && !bad.is_empty(), "{} good examples and {} bad ones", good.len(), bad.len());
    for block in good {
        let (code, said) = check(&ground, &block)?;
        ensure!(code == Some(0) && said.contains("no problems"), "{code:?}\n{block}\n{said}");
    }
    let files = blocks(&text, "toml file");
    ensure!(!files.is_empty(), "no example of a file of rules");
    for block in files {
        fs::write(ground.folder().join("rules.toml"), &block)?;
        let (code, said) = check(&ground, "policy.file = 'rules.toml'")?;
        ensure!(code == Some(0) && said.contains("no problems"), "{code:?}\n{block}\n{said}");
    }
    for block in bad {
        let (code, said) = check(&ground, &block)?;
        ensure!(code == Some(78) && said.contains("policy.rules"), "{code:?}\n{block}\n{said}");
    }
    Ok(())
}

/// The blocks of a Markdown text that are marked with these words.
fn blocks(text: &str, mark: &str) -> Vec<String> {
    let opening = format!("\n```{mark}\n");
    let blocks = text.split(&opening).skip(1);
    blocks.filter_map(|rest| rest.split_once("\n```").map(|(block, _)| block.to_owned())).collect()
}

fn check(ground: &Ground, block: &str) -> Result<(Option<i32>, String)> {
    fs::write(ground.folder().join("lockkeeper.toml"), format!("{REST}{block}\n"))?;
    let mut command = Command::new(&Binaries::find()?.server);
    command.args(["config", "check", "--config", "lockkeeper.toml"]);
    let output = command.current_dir(ground.folder()).env_clear().stdin(Stdio::null()).output()?;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    Ok((output.status.code(), said.concat()))
}
