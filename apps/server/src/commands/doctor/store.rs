use super::{Finding, Level};
use crate::config::{Store, StoreKind};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Whether sessions can be kept.
pub(super) fn examine(store: &Store) -> Finding {
    let finding = |level, what: String| Finding::new("store", level, what);
    match store.kind {
        Some(StoreKind::Memory) => finding(Level::Warn, "memory: nothing outlives the process".to_owned())
            .fix("set `store.kind = \"embedded\"`"),
        Some(StoreKind::Redis) => {
            let address = store.redis().shown_address();
            finding(Level::Warn, format!("redis: {address} is asked when the server starts, and not before"))
        }
        Some(StoreKind::Embedded) | None => {
            let path = store.embedded().path.unwrap_or_default();
            match writable(&path) {
                Ok(()) => finding(Level::Ok, format!("embedded: {} can be written", path.display())),
                Err((place, error)) => {
                    finding(Level::Fail, format!("embedded: {} cannot be written: {error}", place.display()))
                        .fix(format!("make {} writable, or set `store.embedded.path`", place.display()))
                }
            }
        }
    }
}

/// Whether the file can be written, or made.
fn writable(path: &Path) -> Result<(), (PathBuf, io::Error)> {
    if path.exists() {
        return fs::File::options().read(true).write(true).open(path).map(drop).map_err(|e| (path.to_owned(), e));
    }
    let folder = path.ancestors().skip(1).find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let trial = folder.join(format!(".lockkeeper-doctor-{}", std::process::id()));
    fs::File::create_new(&trial).and_then(|_| fs::remove_file(&trial)).map_err(|e| (folder.to_owned(), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &Path) -> Finding {
        let mut store = Store::default();
        store.embedded.path = Some(path.to_owned());
        examine(&store)
    }

    #[test]
    fn a_store_that_can_be_made_is_fine_and_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(at(&dir.path().join("new/store.redb")).level, Level::Ok);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    }

    #[test]
    fn a_store_that_cannot_be_made_names_the_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let found = at(&file.join("store.redb"));
        assert_eq!(found.level, Level::Fail);
        assert!(found.what.contains(&file.display().to_string()), "{found:?}");
    }
}
