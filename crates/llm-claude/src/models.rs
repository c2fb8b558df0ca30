//! The list of models (<https://platform.claude.com/docs/en/api/models/list>).

use crate::client::Client;
use lockkeeper_ports::{LlmError, ModelInfo};
use serde::Deserialize;
use std::time::Duration;

/// The most pages that are read; the vendor needs one.
const PAGES: usize = 20;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    data: Vec<Model>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    last_id: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    #[serde(default)]
    display_name: Option<String>,
}

/// All models that the vendor lists.
pub(crate) async fn list(client: &Client) -> Result<Vec<ModelInfo>, LlmError> {
    let timeout = Duration::from_secs(client.config().list_timeout_secs);
    let late = |_| LlmError::Timeout(format!("no list came within {} s", timeout.as_secs()));
    tokio::time::timeout(timeout, pages(client)).await.map_err(late)?
}

async fn pages(client: &Client) -> Result<Vec<ModelInfo>, LlmError> {
    let mut models = Vec::new();
    let mut after = None::<String>;
    for _ in 0..PAGES {
        let query = [("limit", "1000"), ("after_id", after.as_deref().unwrap_or_default())];
        let body = client.get("models", if after.is_some() { &query } else { &query[..1] }).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|e| LlmError::BadResponse(format!("the list of models could not be read: {e}")))?;
        let infos = page.data.into_iter().map(|model| ModelInfo {
            display_name: model.display_name.unwrap_or_else(|| model.id.clone()),
            id: model.id,
        });
        models.extend(infos);
        after = page.last_id.filter(|id| page.has_more && !id.is_empty());
        if after.is_none() {
            break;
        }
    }
    Ok(models)
}
