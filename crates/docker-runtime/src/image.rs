//! The image that sandboxes start from, made here and without a registry.
//!
//! A [`Recipe`] says what lies in it: the workspace program, a shell, and whatever else the MCP servers need. It is packed
//! into one layer in which nothing depends on when, where or by whom it was packed, so that the same files give the same
//! digest, and handed to the engine as `docker load` would.

mod archive;
mod elf;
mod recipe;

pub use archive::Packed;
pub use elf::{Program, program};
pub use recipe::Recipe;

use crate::{
    config::Config,
    engine::{Fault, negotiate},
};
use bollard::query_parameters::ImportImageOptions;
use futures::{StreamExt as _, TryStreamExt as _};
use std::{collections::BTreeMap, io, path::PathBuf};
use tokio_util::io::ReaderStream;

/// Where the workspace program lies in an image.
pub const WORKSPACE_PROGRAM: &str = "/usr/local/bin/lockkeeper-workspace";
/// The label with the version of Lockkeeper that made an image.
pub const VERSION_LABEL: &str = "io.lockkeeper.version";

/// The filter of system calls that every sandbox runs under, as the file that Podman wants on its machine
/// (`sandbox.docker.seccomp_file`).
pub const SECCOMP: &str = crate::profile::SECCOMP;

/// How much is read of the archive at once, in bytes.
const CHUNK: usize = 256 << 10;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file of the recipe cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program needs libraries, or another processor, that the image does not have.
    #[error("{path} {why}")]
    Unfit {
        /// The program.
        path: PathBuf,
        /// Why, as the rest of a sentence.
        why: String,
    },
    /// The name cannot be given to an image.
    #[error("`{0}` is no name of an image; write it as in `lockkeeper-sandbox:latest`")]
    BadTag(String),
    /// The archive cannot be written.
    #[error("the image cannot be packed")]
    Pack(#[source] io::Error),
    /// The engine does not answer, or refuses.
    #[error("{0}")]
    Engine(String),
}

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The engine's name for it, `sha256:` and a digest.
    pub id: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Summary {
    /// The version of Lockkeeper that made it, where one did.
    pub fn version(&self) -> Option<&str> {
        self.labels.get(VERSION_LABEL).map(String::as_str)
    }
}

/// Hands a packed image to the engine, which then has it under the name that it was packed with.
#[tracing::instrument(name = "docker.image.load", skip_all, fields(image.layer = %packed.layer), err)]
pub async fn load(config: &Config, packed: Packed) -> Result<(), ImageError> {
    let (engine, _) = negotiate(config).await.map_err(engine_failed)?;
    let archive = ReaderStream::with_capacity(tokio::fs::File::from_std(packed.file), CHUNK);
    let body = bollard::body_try_stream(archive.map_err(io::Error::other));
    let options = ImportImageOptions { quiet: true, ..ImportImageOptions::default() };
    let mut said = engine.import_image(options, body, None);
    while let Some(line) = said.next().await {
        let line = line.map_err(engine_failed)?;
        if let Some(detail) = line.error_detail {
            return Err(ImageError::Engine(detail.message.unwrap_or_default()));
        }
    }
    Ok(())
}

/// The image of this name, where the engine has it.
#[tracing::instrument(name = "docker.image.inspect", skip_all, fields(image.name = %name), err)]
pub async fn inspect(config: &Config, name: &str) -> Result<Option<Summary>, ImageError> {
    let (engine, _) = negotiate(config).await.map_err(engine_failed)?;
    match engine.inspect_image(name).await.map_err(Fault::from) {
        Ok(found) => Ok(Some(Summary {
            id: found.id.unwrap_or_default(),
            bytes: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            labels: found.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        })),
        Err(Fault::NotFound(_)) => Ok(None),
        Err(error) => Err(engine_failed(error)),
    }
}

fn engine_failed(error: impl Into<Fault>) -> ImageError {
    ImageError::Engine(error.into().to_string())
}
