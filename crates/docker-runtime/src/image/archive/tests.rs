use super::*;
use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

/// The header of a program that is linked statically, for the processor of this number.
fn program(machine: u8) -> Vec<u8> {
    let mut head = vec![0; 120];
    head[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (head[18], head[32], head[54], head[56], head[64]) = (machine, 64, 56, 1, 1);
    head
}

/// A folder of files such as an image is made of, by whichever order and with whatever times.
fn host(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("workspace"), program(62)).expect("written");
    fs::create_dir_all(folder.path().join("modules/deep")).expect("made");
    for name in names {
        fs::write(folder.path().join("modules").join(name), *name).expect("written");
    }
    symlink("a", folder.path().join("modules/link")).expect("linked");
    let tool = folder.path().join("modules/deep/tool");
    fs::write(&tool, "#!/bin/sh\n").expect("written");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o700)).expect("set");
    folder
}

fn recipe(folder: &Path) -> Recipe {
    let mut recipe = Recipe::new("1.2.3", &folder.join("workspace")).expect("a static program");
    recipe.shell(&folder.join("workspace"), &["sh".to_owned(), "ls".to_owned()]).expect("a static program");
    recipe.add(&folder.join("modules"), Path::new("/opt/mcp")).expect("readable");
    recipe
}

fn pack(folder: &Path) -> Packed {
    recipe(folder).pack("test:latest").expect("packed")
}

/// The archive's files.
fn unpack(bytes: impl io::Read) -> BTreeMap<PathBuf, (Header, Vec<u8>, Option<PathBuf>)> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("read");
        let link = entry.link_name().expect("a name").map(std::borrow::Cow::into_owned);
        (entry.path().expect("a path").into_owned(), (entry.header().clone(), content, link))
    };
    archive.entries().expect("an archive").map(read).collect()
}

#[test]
fn the_same_files_give_the_same_image_whatever_their_owner_order_and_time() {
    let (one, other) = (host(&["a", "b"]), host(&["b", "a"]));
    let old = fs::File::open(other.path().join("modules/a")).expect("there");
    old.set_modified(std::time::UNIX_EPOCH).expect("set");
    let (mut first, mut second) = (pack(one.path()), pack(other.path()));
    assert_eq!((&first.layer, &first.id), (&second.layer, &second.id));
    let mut bytes = (Vec::new(), Vec::new());
    first.file.read_to_end(&mut bytes.0).expect("read");
    second.file.read_to_end(&mut bytes.1).expect("read");
    assert!(bytes.0 == bytes.1, "the archives differ");
}

#[test]
fn other_content_gives_another_layer_and_another_version_another_image() {
    let (one, other) = (host(&["a"]), host(&["a", "b"]));
    assert_ne!(pack(one.path()).layer, pack(other.path()).layer);
    let newer = Recipe::new("2", &one.path().join("workspace")).expect("static").pack("x:1").expect("packed");
    let older = Recipe::new("1", &one.path().join("workspace")).expect("static").pack("x:1").expect("packed");
    assert_eq!(newer.layer, older.layer);
    assert_ne!(newer.id, older.id);
}

#[test]
fn the_archive_is_what_engines_load() {
    let folder = host(&["a"]);
    let packed = pack(folder.path());
    let outer = unpack(&packed.file);
    let json = |name: &str| serde_json::from_slice::<serde_json::Value>(&outer[Path::new(name)].1).expect("JSON");
    let manifest = json("manifest.json");
    assert_eq!(manifest, json!([{ "Config": "config.json", "RepoTags": ["test:latest"], "Layers": ["layer.tar"] }]));
    let config = json("config.json");
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(config["config"]["Labels"][super::super::VERSION_LABEL], "1.2.3");
    let layer = &outer[Path::new("layer.tar")].1;
    let digest = format!("sha256:{}", hex(&Sha256::digest(layer)));
    assert_eq!((config["rootfs"]["diff_ids"][0].as_str(), layer.len() as u64), (Some(&*digest), packed.bytes));
    assert_eq!(digest, packed.layer);
}

#[test]
fn the_layer_holds_what_a_sandbox_needs() {
    let folder = host(&["a"]);
    let layer = unpack(&*unpack(&pack(folder.path()).file)[Path::new("layer.tar")].1);
    let mode = |path: &str| layer[Path::new(path)].0.mode().expect("a mode");
    let link = |path: &str| layer[Path::new(path)].2.clone().expect("a link");
    assert_eq!((mode("tmp"), mode("workspace")), (0o1777, 0o777));
    assert_eq!(mode("usr/local/bin/lockkeeper-workspace"), 0o755, "though it is not executable on the host");
    assert_eq!((link("usr/bin/sh"), link("bin")), ("busybox".into(), "usr/bin".into()));
    assert_eq!((mode("opt/mcp/deep/tool"), mode("opt/mcp/a")), (0o755, 0o644));
    assert_eq!(link("opt/mcp/link"), Path::new("a"));
    for (path, (header, ..)) in &layer {
        let owner = (header.uid().expect("an owner"), header.mtime().expect("a time"));
        assert_eq!(owner, (0, 0), "{}", path.display());
    }
    let paths: Vec<_> = layer.keys().collect();
    assert!(paths.iter().any(|path| path.ends_with("etc/passwd")));
}

#[test]
fn programs_for_different_processors_do_not_share_an_image() {
    let folder = host(&[]);
    let shell = folder.path().join("shell");
    fs::write(&shell, program(183)).expect("written");
    let mut recipe = Recipe::new("1", &folder.path().join("workspace")).expect("static");
    let error = recipe.shell(&shell, &[]).expect_err("another processor");
    assert!(error.to_string().contains("is a program for arm64"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = host(&[]);
    let mut recipe = recipe(folder.path());
    let error = recipe.add(Path::new("/no/such/file"), Path::new("/x")).expect_err("not there");
    assert!(error.to_string().contains("/no/such/file"), "{error}");
    recipe.add(&folder.path().join("workspace"), Path::new("/x")).expect("there");
    fs::remove_file(folder.path().join("workspace")).expect("removed");
    assert!(matches!(recipe.pack("x:1"), Err(ImageError::Unreadable { .. })));
}

#[test]
fn names_are_checked() {
    for tag in ["lockkeeper-sandbox:latest", "host:5000/team/name:1.0-rc_1"] {
        assert!(is_tag(tag), "{tag}");
    }
    for tag in ["", "name", "name:", ":x", "Name:x", "a//b:x", "name:-x", "name:a b", "sp ace:x"] {
        assert!(!is_tag(tag), "{tag}");
    }
}
