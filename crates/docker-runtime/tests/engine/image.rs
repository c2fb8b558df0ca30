//! An image with all that the checks need: a shell, the workspace binary, perl for raw system calls, and a program that
//! belongs to root and runs as root.

use bollard::{Docker, query_parameters::CreateImageOptions};
use futures::TryStreamExt;
use std::{
    collections::BTreeSet,
    fs,
    hash::{Hash, Hasher},
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};
use tar::{Builder, EntryType, Header};

const REPOSITORY: &str = "lockkeeper-docker-runtime-tests";
const BUSYBOX: [&str; 2] = ["/usr/bin/busybox", "/bin/busybox"];
const PERL: &str = "/usr/bin/perl";
/// A perl that runs as root wherever that is let happen.
pub(crate) const SETUID: &str = "/usr/bin/perl-of-root";
const WORKSPACE: &str = "usr/local/bin/lockkeeper-workspace";
const GREEDY: &str = r#"#!/bin/sh
if [ "$1" = hold ]; then
    chmod 2770 /workspace
    exec perl -e '$SIG{URG} = sub { push @all, "x" x (1 << 20) while 1 }; sleep 1 while 1'
fi
exec /usr/local/bin/lockkeeper-workspace-itself "$@"
"#;

/// What the image is made of, if all of it is here; otherwise what is not, and where it comes from.
pub(crate) struct Parts {
    workspace: PathBuf,
    busybox: PathBuf,
}

impl Parts {
    pub(crate) fn find() -> Result<Self, String> {
        let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/static/lockkeeper-workspace"));
        let workspace = target_directory().map_or(workspace, |target| target.join("static/lockkeeper-workspace"));
        if !workspace.exists() {
            return Err("needs the static workspace binary: scripts/workspace-static".into());
        }
        let busybox = BUSYBOX.iter().map(PathBuf::from).find(|path| is_static(path));
        let busybox = busybox.ok_or("needs a static busybox: apt-get install -y busybox-static")?;
        if !Path::new(PERL).exists() || !cfg!(target_arch = "x86_64") {
            return Err("needs perl on x86-64 to make raw system calls: apt-get install -y perl-base".into());
        }
        Ok(Self { workspace, busybox })
    }

    /// The image's name, and the image itself if the engine lacks it.
    pub(crate) async fn image(&self, docker: &Docker) -> String {
        let stamp = |path: &Path| {
            let found = fs::metadata(path).expect("metadata");
            let changed = found.modified().expect("a time").duration_since(std::time::UNIX_EPOCH).expect("later");
            format!("{}-{}", found.len(), changed.as_nanos())
        };
        let mut recipe = std::hash::DefaultHasher::new();
        include_str!("image.rs").hash(&mut recipe);
        let recipe = recipe.finish();
        let name = format!("{REPOSITORY}:{recipe:x}-{}-{}", stamp(&self.workspace), stamp(&self.busybox));
        if docker.inspect_image(&name).await.is_err() {
            import(docker, &name, self.archive(None)).await;
        }
        name
    }

    /// The same with a holder that takes all the memory there is once it is kept alive.
    pub(crate) async fn greedy_image(&self, docker: &Docker) -> String {
        let name = format!("{REPOSITORY}:greedy");
        import(docker, &name, self.archive(Some(GREEDY))).await;
        name
    }

    fn archive(&self, instead: Option<&str>) -> Vec<u8> {
        let mut archive = Archive(Builder::new(Vec::new()));
        for (path, mode) in [("tmp", 0o1777), ("workspace", 0o777), ("etc", 0o755), ("proc", 0o755), ("sys", 0o755)] {
            archive.directory(path, mode);
        }
        for name in ["passwd", "group"] {
            archive.link(&format!("etc/{name}"), &format!("/run/lockkeeper/{name}"));
        }
        archive.text("etc/hosts", "127.0.0.1 localhost\n", 0o644);
        match instead {
            None => archive.file(WORKSPACE, &self.workspace, 0o755),
            Some(script) => {
                archive.text(WORKSPACE, script, 0o755);
                archive.file(&format!("{WORKSPACE}-itself"), &self.workspace, 0o755);
            }
        }
        archive.file("bin/busybox", &self.busybox, 0o755);
        let applets = Command::new(&self.busybox).arg("--list").output().expect("busybox runs");
        for applet in String::from_utf8(applets.stdout).expect("text").lines().filter(|applet| *applet != "busybox") {
            archive.link(&format!("bin/{applet}"), "/bin/busybox");
        }
        archive.file("usr/bin/perl", Path::new(PERL), 0o755);
        archive.file(SETUID, Path::new(PERL), 0o4755);
        for library in libraries(Path::new(PERL)) {
            archive.file(&library, &fs::canonicalize(&library).expect("a library"), 0o755);
        }
        archive.0.into_inner().expect("an archive")
    }
}

/// Makes an image with no workspace binary.
pub(crate) async fn bare_image(docker: &Docker) -> String {
    let name = format!("{REPOSITORY}:bare");
    let mut archive = Archive(Builder::new(Vec::new()));
    archive.directory("tmp", 0o1777);
    import(docker, &name, archive.0.into_inner().expect("an archive")).await;
    name
}

async fn import(docker: &Docker, name: &str, archive: Vec<u8>) {
    // The tag goes with the repository: as a parameter of its own, Podman does not read it.
    let options =
        CreateImageOptions { from_src: Some("-".into()), repo: Some(name.into()), ..CreateImageOptions::default() };
    let body = bollard::body_full(archive.into());
    let imported: Result<Vec<_>, _> = docker.create_image(Some(options), Some(body), None).try_collect().await;
    imported.expect("the engine takes the image");
}

struct Archive(Builder<Vec<u8>>);

impl Archive {
    fn header(kind: EntryType, mode: u32, size: usize) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size as u64);
        header
    }

    fn directory(&mut self, path: &str, mode: u32) {
        self.add(&mut Self::header(EntryType::Directory, mode, 0), &format!("{path}/"), &[]);
    }

    fn text(&mut self, path: &str, text: &str, mode: u32) {
        self.add(&mut Self::header(EntryType::Regular, mode, text.len()), path, text.as_bytes());
    }

    fn file(&mut self, path: &str, from: &Path, mode: u32) {
        let content = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.add(&mut Self::header(EntryType::Regular, mode, content.len()), path, &content);
    }

    fn link(&mut self, path: &str, to: &str) {
        let mut header = Self::header(EntryType::Symlink, 0o777, 0);
        self.0.append_link(&mut header, path, to).expect("an entry");
    }

    fn add(&mut self, header: &mut Header, path: &str, content: &[u8]) {
        self.0.append_data(header, path.trim_start_matches('/'), content).expect("an entry");
    }
}

/// Of a dynamic program: the loader and what it loads.
fn libraries(program: &Path) -> BTreeSet<String> {
    let listed = Command::new("ldd").arg(program).output().expect("ldd runs");
    let listed = String::from_utf8(listed.stdout).expect("text");
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(String::from).collect()
}

fn is_static(program: &Path) -> bool {
    let Ok(mut file) = fs::File::open(program) else { return false };
    let mut head = [0; 4];
    let is_program = file.read_exact(&mut head).is_ok() && head == *b"\x7fELF";
    let listed = Command::new("ldd").arg(program).output();
    is_program && listed.is_ok_and(|listed| !String::from_utf8_lossy(&listed.stdout).contains("=>"))
}

fn target_directory() -> Option<PathBuf> {
    std::env::vars_os().find(|(name, _)| name == "CARGO_TARGET_DIR").map(|(_, value)| value.into())
}
