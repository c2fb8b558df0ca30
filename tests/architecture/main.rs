//! Which crate may use which, held against `cargo metadata` and the manifests.

mod graph;
mod rules;

use graph::{Graph, Kind};

#[test]
fn dependencies_point_inwards() {
    assert_eq!(rules::broken_layers(&Graph::of_this_workspace()), Vec::<String>::new());
}

#[test]
fn one_crate_alone_names_each_foreign_technology() {
    assert_eq!(rules::broken_wrappers(&Graph::of_this_workspace()), Vec::<String>::new());
}

#[test]
fn the_domain_knows_no_technology_at_all() {
    let graph = Graph::of_this_workspace();
    let foreign: Vec<_> = graph
        .dependencies_of("lockkeeper-domain", Kind::Normal)
        .filter(|name| !["schemars", "serde", "serde_json", "thiserror"].contains(name))
        // What digests and the marks of the audit take: pure functions.
        .filter(|name| !["hmac", "serde_json_canonicalizer", "sha2", "subtle"].contains(name))
        .collect();
    assert_eq!(foreign, Vec::<&str>::new());
}

#[test]
fn versions_live_in_the_workspace_table_alone() {
    assert_eq!(rules::own_versions(&graph::member_manifests()), Vec::<String>::new());
}

#[test]
fn every_member_inherits_the_lints() {
    assert_eq!(rules::without_lints(&graph::member_manifests()), Vec::<String>::new());
}

/// The rules themselves: each of these was broken on purpose.
mod a_violation_is_found {
    use super::*;

    fn uses(from: &str, to: &str, kind: Kind) -> Graph {
        Graph::from_iter([(from, to, kind)])
    }

    #[test]
    fn an_adapter_that_uses_another_adapter() {
        let graph = uses("lockkeeper-mcp-client", "lockkeeper-local-runtime", Kind::Normal);
        assert_eq!(rules::broken_layers(&graph).len(), 1);
    }

    #[test]
    fn a_port_that_knows_a_use_case() {
        let graph = uses("lockkeeper-ports", "lockkeeper-orchestrator", Kind::Normal);
        assert_eq!(rules::broken_layers(&graph).len(), 1);
    }

    #[test]
    fn a_test_fixture_in_production_code() {
        assert_eq!(rules::broken_layers(&uses("lockkeeper", "lockkeeper-testkit", Kind::Normal)).len(), 1);
        let in_tests = uses("lockkeeper-orchestrator", "lockkeeper-testkit", Kind::Development);
        assert_eq!(rules::broken_layers(&in_tests), Vec::<String>::new());
    }

    #[test]
    fn a_crate_that_nobody_placed() {
        let graph = uses("lockkeeper-newcomer", "lockkeeper-domain", Kind::Normal);
        assert_eq!(rules::broken_layers(&graph).len(), 1);
    }

    #[test]
    fn a_second_crate_that_names_the_web_framework() {
        assert_eq!(rules::broken_wrappers(&uses("lockkeeper-orchestrator", "axum", Kind::Normal)).len(), 1);
        assert_eq!(rules::broken_wrappers(&uses("lockkeeper-socket-gateway", "axum", Kind::Development)).len(), 1);
        assert_eq!(rules::broken_wrappers(&uses("lockkeeper-http-api", "axum", Kind::Normal)), Vec::<String>::new());
    }

    #[test]
    fn a_version_outside_of_the_table() {
        let manifest = "[dependencies]\nserde = \"1\"\ntokio = { workspace = true, features = [\"rt\"] }\n";
        let manifests = [("some/Cargo.toml".to_owned(), manifest.to_owned())];
        assert_eq!(rules::own_versions(&manifests), ["some/Cargo.toml: serde has a version of its own"]);
        assert_eq!(rules::without_lints(&manifests).len(), 1);
    }
}
