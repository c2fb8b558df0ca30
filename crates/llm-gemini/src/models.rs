//! The list of models (<https://ai.google.dev/api/models#method:-models.list>).

use crate::client::Client;
use lockkeeper_ports::{LlmError, ModelInfo};
use serde::Deserialize;
use std::time::Duration;

/// The most pages that are read; the vendor needs one.
const PAGES: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    models: Vec<Model>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    name: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    supported_generation_methods: Option<Vec<String>>,
}

/// The models that hold conversations; the vendor's list has those for embeddings and pictures, too.
pub(crate) async fn list(client: &Client) -> Result<Vec<ModelInfo>, LlmError> {
    let timeout = Duration::from_secs(client.config().list_timeout_secs);
    let late = |_| LlmError::Timeout(format!("no list came within {} s", timeout.as_secs()));
    tokio::time::timeout(timeout, pages(client)).await.map_err(late)?
}

async fn pages(client: &Client) -> Result<Vec<ModelInfo>, LlmError> {
    let mut models = Vec::new();
    let mut token = None::<String>;
    for _ in 0..PAGES {
        let query = [("pageSize", "1000"), ("pageToken", token.as_deref().unwrap_or_default())];
        let body = client.get("models", if token.is_some() { &query } else { &query[..1] }).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|e| LlmError::BadResponse(format!("the list of models could not be read: {e}")))?;
        models.extend(page.models.into_iter().filter(converses).map(|model| {
            let id = model.name.strip_prefix("models/").unwrap_or(&model.name).to_owned();
            ModelInfo { display_name: model.display_name.unwrap_or_else(|| id.clone()), id }
        }));
        token = page.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    Ok(models)
}

fn converses(model: &Model) -> bool {
    let methods = model.supported_generation_methods.as_ref();
    methods.is_none_or(|methods| methods.iter().any(|method| method == "generateContent"))
}
