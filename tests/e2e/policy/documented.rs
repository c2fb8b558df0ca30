use crate::case::Ground;
use crate::script::{calls, run, script};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Binaries, repository};
use serde_json::json;
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

/// The first example allows reading below `docs`. Whatever links somebody makes there, it reads no other file.
/// Covers: S3 rules
pub(super) async fn documented_paths_hold_against_links(ground: Rc<Ground>) -> Result<()> {
    let text = fs::read_to_string(repository().join("docs/policy.md"))?;
    let allowing = blocks(&text, "toml").into_iter().find(|block| block.contains("args.path.within = \"docs\""));
    let server = ground.setup().config(&allowing.context("no example with `within`")?).start().await?;
    let mut client = server.connect().open().await?;
    let links = "mkdir -p docs/d && echo fine > docs/a && echo S3CRET > .env && ln -s ../.env docs/x \
                 && ln -s ../../.env docs/d/x && ln -s .. docs/up && ln -s x docs/chain && ln -s \"$PWD/.env\" docs/absolute";
    let read = |path: &str| calls(&[("read_file", json!({ "path": path }))]);
    let allowed = ["docs/x", "docs/d/x", "docs/up/.env", "docs/chain", "docs/absolute", "docs/./x", "docs/a"];
    let asked = ["docs/../.env", ".env", "docs/up/../.env"];
    let mut steps = vec![run(links)];
    steps.extend(allowed.iter().chain(&asked).map(|path| read(path)));
    client.say(&script(&steps)).await?;
    let mut questions = Vec::new();
    loop {
        let event = client.next().await?;
        match event.name.as_str() {
            "tool:approval_required" => {
                let is_command = event.payload["name"] == "execute_command";
                questions.extend(event.payload["args"]["path"].as_str().map(str::to_owned));
                client.approve(event.call().context("no call")?, is_command).await?;
            }
            "turn:completed" => break,
            _ => {}
        }
    }
    ensure!(questions == asked, "{questions:?}");
    let said = |name: &str| client.journal().iter().filter(|event| event.name == name).collect::<Vec<_>>();
    let outputs = format!("{:?}", said("tool:output"));
    ensure!(!outputs.contains("S3CRET") && outputs.contains("fine"), "{outputs}");
    // A link with an absolute target counts as one that leads out.
    let is_refusal = |text: &str| text.contains("is a link") || text.contains("outside of the workspace");
    let refused = said("tool:error").iter().filter(|event| is_refusal(&format!("{event:?}"))).count();
    ensure!(refused == allowed.len() - 1, "{refused}: {:?}", said("tool:error"));
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
