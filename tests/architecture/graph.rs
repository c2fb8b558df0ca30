use cargo_metadata::{DependencyKind, MetadataCommand};
use std::{fs, path::Path};

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Development,
}

/// The direct dependencies of the workspace's members.
pub(crate) struct Graph(Vec<Edge>);

pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) kind: Kind,
}

impl Graph {
    pub(crate) fn of_this_workspace() -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .no_deps()
            .exec()
            .expect("cargo metadata works in a workspace that builds");
        let edges = metadata.packages.iter().flat_map(|package| {
            package.dependencies.iter().map(|dependency| Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                kind: match dependency.kind {
                    DependencyKind::Development => Kind::Development,
                    _ => Kind::Normal,
                },
            })
        });
        Self(edges.collect())
    }

    pub(crate) fn edges(&self) -> &[Edge] {
        &self.0
    }

    pub(crate) fn dependencies_of(&self, from: &str, kind: Kind) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |edge| edge.from == from && edge.kind == kind).map(|edge| edge.to.as_str())
    }
}

impl<'a> FromIterator<(&'a str, &'a str, Kind)> for Graph {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str, Kind)>>(edges: I) -> Self {
        let edge = |(from, to, kind): (&str, &str, Kind)| Edge { from: from.to_owned(), to: to.to_owned(), kind };
        Self(edges.into_iter().map(edge).collect())
    }
}

/// The path and the text of each member's manifest.
pub(crate) fn member_manifests() -> Vec<(String, String)> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata works in a workspace that builds");
    let read = |package: &cargo_metadata::Package| {
        let path = package.manifest_path.as_std_path();
        (path.display().to_string(), fs::read_to_string(path).expect("cargo has just read it"))
    };
    metadata.packages.iter().map(read).collect()
}
