//! Takes the web console into the crate where it was built before: `npm run build` in `apps/console`. Without it the crate
//! builds as well, and a plain page stands in.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../apps/console/dist");

fn main() -> Result<(), Box<dyn Error>> {
    // The folder is always there: cargo would run this each time otherwise.
    println!("cargo::rerun-if-changed={BUILT}");
    let root = PathBuf::from(BUILT);
    let mut files = Vec::new();
    if root.join("index.html").is_file() {
        collect(&root.canonicalize()?, &mut files)?;
        files.sort();
    }
    let root = root.canonicalize()?;
    let mut table = String::from("&[\n");
    for file in &files {
        let path = text(file.strip_prefix(&root)?)?;
        let file = text(file)?;
        let packed = format!("{file}.gz");
        let gzip =
            if Path::new(&packed).is_file() { format!("Some(include_bytes!({packed:?}))") } else { "None".to_owned() };
        writeln!(table, "    File {{ path: {path:?}, bytes: include_bytes!({file:?}), gzip: {gzip} }},")?;
    }
    table.push_str("]\n");
    fs::write(output()?.join("console_files.rs"), table)?;
    Ok(())
}

fn text(path: &Path) -> Result<&str, &'static str> {
    path.to_str().ok_or("a file's name is not UTF-8")
}

/// All files to serve below `folder`; those that are only the compressed form of another are not among them.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let (path, hidden) =
            entry.map(|entry| (entry.path(), entry.file_name().as_encoded_bytes().starts_with(b".")))?;
        if path.is_dir() {
            collect(&path, files)?;
        } else if !hidden && path.extension().is_none_or(|extension| extension != "gz") {
            files.push(path);
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by its environment where to write")]
fn output() -> Result<PathBuf, std::env::VarError> {
    std::env::var("OUT_DIR").map(PathBuf::from)
}
