use super::examples;
use clap::{Args, Subcommand};
use std::path::{Component, PathBuf};

/// `lockkeeper image ..`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make it out of programs of this machine, without any registry, and hand it to the Docker engine.
    #[command(after_help = examples::IMAGE_BUILD)]
    Build(ImageBuildArgs),
    /// Print the filter of system calls that sandboxes run under. Podman takes it from a file alone:
    /// `sandbox.docker.seccomp_file`.
    #[command(after_help = examples::IMAGE_SECCOMP)]
    Seccomp,
}

/// `lockkeeper image build`.
#[derive(Args, Debug)]
pub(crate) struct ImageBuildArgs {
    /// What to call it: `sandbox.docker.image` by default.
    #[arg(long, value_name = "NAME:TAG")]
    pub(crate) tag: Option<String>,
    /// The workspace program, linked statically, which `./scripts/workspace-static` builds. By default it is looked for
    /// where that puts it, and beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) workspace: Option<PathBuf>,
    /// The shell, linked statically: by default this machine's busybox.
    #[arg(long, value_name = "FILE")]
    pub(crate) shell: Option<PathBuf>,
    /// Put this machine's Node.js in, with the libraries that it needs.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "node")]
    pub(crate) with_node: Option<PathBuf>,
    /// Put this file or directory in, at this path: an MCP server, for example. Can be repeated.
    #[arg(long, value_name = "FILE:PATH", value_parser = addition)]
    pub(crate) add: Vec<(PathBuf, PathBuf)>,
    /// Tell the digests, and leave the engine alone.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn addition(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let (host, inside) = text.rsplit_once(':').ok_or("write it as FILE:PATH")?;
    let inside = PathBuf::from(inside);
    let plain = inside.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if host.is_empty() || !plain || !inside.is_absolute() || inside.parent().is_none() {
        return Err(format!("`{}` is no absolute path in an image", inside.display()));
    }
    Ok((host.into(), inside))
}
