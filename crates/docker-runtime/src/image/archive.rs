//! The archive that an engine loads: one layer, and two small files that describe it (the image format v1.2 of Docker).

use super::{ImageError, Recipe, WORKSPACE_PROGRAM, recipe::Entry};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write},
    path::Path,
};
use tar::{Builder, EntryType, Header};

/// The unit of archives, in bytes.
const BLOCK: u64 = 512;
const LAYER: &str = "layer.tar";
const CONFIG: &str = "config.json";
/// The beginning of time: an image is what it is made of, not when.
const CREATED: &str = "1970-01-01T00:00:00Z";
const SEARCH_PATH: &str = "PATH=/usr/local/bin:/usr/bin:/bin";

/// An image in a file that has no name and goes with this value.
#[derive(Debug)]
pub struct Packed {
    pub(super) file: File,
    /// The digest of its layer, `sha256:` and so on: that of its content alone.
    pub layer: String,
    /// The digest of its description, which is the image's id where the engine goes by it.
    pub id: String,
    /// The size of its layer in bytes.
    pub bytes: u64,
}

impl Recipe {
    /// Packs the image under this name. Blocks for as long as it takes to read all files.
    pub fn pack(&self, tag: &str) -> Result<Packed, ImageError> {
        if !is_tag(tag) {
            return Err(ImageError::BadTag(tag.to_owned()));
        }
        let mut file = tempfile::tempfile().map_err(ImageError::Pack)?;
        // The layer comes first and its header last, when its size is known.
        file.seek(SeekFrom::Start(BLOCK)).map_err(ImageError::Pack)?;
        let (bytes, layer) = self.write_layer(&mut file)?;
        let config = self.config(&layer).to_string();
        let id = format!("sha256:{}", hex(&Sha256::digest(&config)));
        finish(&mut file, bytes, &config, tag).map_err(ImageError::Pack)?;
        Ok(Packed { file, layer, id, bytes })
    }

    /// Writes the layer; its size and its digest.
    fn write_layer(&self, file: &mut File) -> Result<(u64, String), ImageError> {
        let sink = Digesting { inner: BufWriter::new(file), digest: Sha256::new(), bytes: 0 };
        let mut layer = Builder::new(sink);
        for (path, entry) in &self.entries {
            append(&mut layer, path, entry)?;
        }
        let mut sink = layer.into_inner().map_err(ImageError::Pack)?;
        sink.flush().map_err(ImageError::Pack)?;
        Ok((sink.bytes, format!("sha256:{}", hex(&sink.digest.finalize()))))
    }

    fn config(&self, layer: &str) -> serde_json::Value {
        json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": CREATED,
            "config": {
                "Env": [SEARCH_PATH],
                "Entrypoint": [WORKSPACE_PROGRAM],
                "User": "65532:65532",
                "WorkingDir": "/workspace",
                "Labels": self.labels,
            },
            "rootfs": { "type": "layers", "diff_ids": [layer] },
            "history": [{ "created": CREATED, "created_by": "lockkeeper image build" }],
        })
    }
}

/// Writes through, and knows what was written.
struct Digesting<W> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn append(layer: &mut Builder<impl Write>, path: &Path, entry: &Entry) -> Result<(), ImageError> {
    match entry {
        Entry::Directory { mode } => {
            let mut header = header(EntryType::Directory, *mode, 0);
            layer.append_data(&mut header, path, io::empty()).map_err(ImageError::Pack)
        }
        Entry::Link(target) => {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            layer.append_link(&mut header, path, target).map_err(ImageError::Pack)
        }
        Entry::Text(text) => {
            let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
            layer.append_data(&mut header, path, text.as_bytes()).map_err(ImageError::Pack)
        }
        Entry::File { from, mode } => {
            let unreadable = |source| ImageError::Unreadable { path: from.clone(), source };
            let file = File::open(from).map_err(unreadable)?;
            let size = file.metadata().map_err(unreadable)?.len();
            // A file that grows meanwhile is taken as it was; one that shrinks is an error.
            let mut content = Exactly { inner: BufReader::new(file), left: size };
            let mut header = header(EntryType::Regular, *mode, size);
            layer.append_data(&mut header, path, &mut content).map_err(unreadable)
        }
    }
}

/// The first so many bytes of a source, and an error where it has fewer.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut off meanwhile"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// A header that says nothing of owners and times.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Puts the layer's header before it, and the description after it. The file is then at its beginning.
fn finish(file: &mut File, layer_bytes: u64, config: &str, tag: &str) -> io::Result<()> {
    let padding = layer_bytes.next_multiple_of(BLOCK) - layer_bytes;
    io::copy(&mut io::Read::take(io::repeat(0), padding), file)?;
    let manifest = json!([{ "Config": CONFIG, "RepoTags": [tag], "Layers": [LAYER] }]).to_string();
    let mut rest = Builder::new(&mut *file);
    for (name, text) in [(CONFIG, config), ("manifest.json", &manifest)] {
        rest.append_data(&mut header(EntryType::Regular, 0o644, text.len() as u64), name, text.as_bytes())?;
    }
    rest.finish()?;
    drop(rest);
    let mut first = header(EntryType::Regular, 0o644, layer_bytes);
    first.set_path(LAYER)?;
    first.set_cksum();
    file.seek(SeekFrom::Start(0))?;
    file.write_all(first.as_bytes())?;
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// Whether this names an image, as in `lockkeeper-sandbox:latest` or `host:5000/team/name:1`.
fn is_tag(text: &str) -> bool {
    let Some((name, tag)) = text.rsplit_once(':') else { return false };
    let part = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-:".contains(&b))
    };
    let tag_is_fine = !tag.is_empty()
        && tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    tag_is_fine && name.len() <= 255 && name.split('/').all(part)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
