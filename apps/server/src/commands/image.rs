//! `lockkeeper image`.

mod sources;

use crate::{
    cli::{Cli, ImageBuildArgs, ImageCommand},
    exit::Stop,
};
use anyhow::{Context as _, Result, anyhow};
use lockkeeper_docker_runtime::{
    Config,
    image::{self, ImageError, Packed, Recipe},
};
use sources::Node;
use std::{path::Path, process::ExitCode};
use tokio::task::spawn_blocking;

/// Makes an image, or prints what goes with it.
pub(crate) async fn image(cli: &Cli, command: &ImageCommand) -> Result<ExitCode, Stop> {
    match command {
        ImageCommand::Build(args) => build(cli, args).await,
        ImageCommand::Seccomp => {
            print!("{}", image::SECCOMP);
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn build(cli: &Cli, args: &ImageBuildArgs) -> Result<ExitCode, Stop> {
    let loaded = super::loaded(cli)?;
    if !loaded.problems.is_empty() {
        return Err(Stop::Configuration(loaded.problems));
    }
    let engine = loaded.config.sandbox.docker;
    let tag = args.tag.clone().unwrap_or_else(|| engine.image.clone());
    let recipe = recipe(args).await?;
    let packed = {
        let tag = tag.clone();
        spawn_blocking(move || recipe.pack(&tag)).await.context("the packing was cut off")?
    };
    let packed = packed.map_err(|error| explain(error, &engine, args.tag.is_some()))?;
    let said = format!("{tag}  image {}  layer {}  {} MiB", packed.id, packed.layer, packed.bytes.div_ceil(1 << 20));
    if !args.dry_run {
        hand_over(&engine, packed, &tag).await?;
    }
    println!("{said}");
    Ok(ExitCode::SUCCESS)
}

async fn hand_over(engine: &Config, packed: Packed, tag: &str) -> Result<(), Stop> {
    let unavailable = |error: ImageError| {
        let error = anyhow::Error::from(error).context("`lockkeeper doctor docker` says what is missing");
        Stop::Unavailable(vec![error])
    };
    image::load(engine, packed).await.map_err(unavailable)?;
    let found = image::inspect(engine, tag).await.map_err(unavailable)?;
    found.map(drop).ok_or_else(|| Stop::Failed(anyhow!("the engine took the image and does not have it: {tag}")))
}

/// What the image is made of, from where it lies on this machine.
async fn recipe(args: &ImageBuildArgs) -> Result<Recipe> {
    let executable = std::env::current_exe().context("the path of this program cannot be found out")?;
    let workspace = sources::workspace(args.workspace.as_deref(), &executable)?;
    let shell = sources::shell(args.shell.as_deref())?;
    let mut recipe = Recipe::new(env!("CARGO_PKG_VERSION"), &workspace)?;
    recipe.shell(&shell, &sources::applets(&shell).await?)?;
    if let Some(node) = &args.with_node {
        add_node(&mut recipe, &sources::node(node).await?)?;
    }
    for (host, inside) in &args.add {
        recipe.add(host, inside)?;
    }
    Ok(recipe)
}

fn add_node(recipe: &mut Recipe, node: &Node) -> Result<()> {
    for file in node.libraries.iter().chain([&node.program]) {
        recipe.add(file, file)?;
    }
    recipe.link(Path::new("/usr/bin/node"), &node.program);
    Ok(())
}

fn explain(error: ImageError, engine: &Config, named: bool) -> anyhow::Error {
    match error {
        ImageError::BadTag(_) if !named => anyhow!(
            "`sandbox.docker.image` is `{}`, by which no image can be made: name one by --tag, as in `tools:latest`",
            engine.image
        ),
        error => error.into(),
    }
}
