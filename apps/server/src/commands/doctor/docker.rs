use super::{Finding, Level};
use lockkeeper_docker_runtime::{Config, diagnose, image};

/// Whether an engine answers, may be used, and has the image.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let found = Box::pin(diagnose(config)).await;
    let usable = !found.iter().any(lockkeeper_docker_runtime::Finding::is_fatal);
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|found| {
            let level = if found.is_fatal() { Level::Fail } else { Level::Warn };
            let finding = Finding::new("docker", level, found.message);
            if found.remedy.is_empty() { finding } else { finding.fix(found.remedy) }
        })
        .collect();
    if usable {
        findings.insert(0, image_of(config).await);
    }
    findings
}

/// The image, and whether this version made it.
async fn image_of(config: &Config) -> Finding {
    let (name, ours) = (&config.image, env!("CARGO_PKG_VERSION"));
    let finding = |level, what: String| Finding::new("docker", level, format!("{} answers; {what}", config.host));
    match image::inspect(config, name).await {
        Ok(Some(found)) => match found.version() {
            Some(version) if version != ours => {
                let what = format!("the image {name} was made by version {version}, and this is {ours}");
                finding(Level::Warn, what).fix("lockkeeper image build")
            }
            _ => finding(Level::Ok, format!("it has the image {name} ({} MiB)", found.bytes.div_ceil(1 << 20))),
        },
        Ok(None) => finding(Level::Fail, format!("it has no image {name}")).fix("lockkeeper image build"),
        Err(error) => Finding::new("docker", Level::Fail, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_told_from_one_that_may_not_be_used() {
        let dir = tempfile::tempdir().expect("a directory");
        let host = format!("unix://{}", dir.path().join("docker.sock").display());
        let found = examine(&Config { host: host.clone(), ..Config::default() }).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].level, Level::Fail);
        assert!(found[0].what.contains(&host) && found[0].fix.is_some(), "{found:?}");
        let bad = examine(&Config { host: "gopher://x".into(), ..Config::default() }).await;
        assert!(bad[0].what.contains("host is"), "{bad:?}");
    }
}
