//! The documents and the dashboard say what the code does.

use lockkeeper_telemetry::{Kind, METRICS};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the repository");
    fs::read_to_string(root.join(path)).expect(path)
}

/// A line of the table for each metric.
fn table() -> Vec<String> {
    let line = |metric: &lockkeeper_telemetry::Metric| {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | `{}` | {kind} | {} | {} |", metric.prometheus, metric.name, labels.join(", "), metric.help)
    };
    METRICS.iter().map(line).collect()
}

#[test]
fn the_table_of_metrics_is_the_one_in_the_code() {
    let document = file("docs/operations.md");
    let is_row =
        |line: &&str| ["lockkeeper_", "gen_ai_", "mcp_"].iter().any(|own| line.starts_with(&format!("| `{own}")));
    let rows: Vec<_> = document.lines().filter(is_row).collect();
    let (found, wanted) = (rows.join("\n"), table().join("\n"));
    assert_eq!(found, wanted, "the table of docs/operations.md is to be\n{wanted}");
}

#[test]
fn every_query_of_the_dashboard_asks_for_metrics_and_labels_that_exist() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/lockkeeper.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().expect("a query")).collect();
    assert!(queries.len() > METRICS.len(), "{queries:?}");
    let mut asked = BTreeSet::new();
    for query in &queries {
        let words: Vec<_> = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
        let ours = |word: &&&str| ["lockkeeper_", "gen_ai_", "mcp_"].iter().any(|own| word.starts_with(own));
        for word in words.iter().filter(ours) {
            let labels = METRICS.iter().flat_map(|metric| metric.labels);
            if labels.clone().any(|label| label == word) {
                continue;
            }
            let found = METRICS.iter().find(|metric| match metric.kind {
                Kind::Histogram => word.strip_suffix("_bucket") == Some(metric.prometheus),
                Kind::Counter | Kind::Gauge => *word == metric.prometheus,
            });
            let metric = found.unwrap_or_else(|| panic!("there is no metric or label `{word}`, in `{query}`"));
            asked.insert(metric.prometheus);
        }
        let by = query.split("by (").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
        for label in by.split(", ").filter(|label| !label.is_empty() && *label != "le") {
            let known =
                METRICS.iter().any(|metric| query.contains(metric.prometheus) && metric.labels.contains(&label));
            assert!(known, "no metric of `{query}` has the label `{label}`");
        }
    }
    let shown = METRICS.iter().map(|metric| metric.prometheus).collect::<BTreeSet<_>>();
    assert_eq!(asked, shown, "the dashboard shows every metric");
}
