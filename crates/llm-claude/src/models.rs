//! The list of models (<https://platform.claude.com/docs/en/api/models/list>).

use crate::client::Client;
use lockkeeper_ports::{LlmError, ModelInfo};
use serde::Deserialize;

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

pub(crate) async fn list(client: &Client) -> Result<Vec<ModelInfo>, LlmError> {
    let mut models = Vec::new();
    let mut after = None::<String>;
    for _ in 0..PAGES {
        let path =
            after.map_or_else(|| "models?limit=1000".to_owned(), |id| format!("models?limit=1000&after_id={id}"));
        let body = client.get(&path).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|e| LlmError::BadResponse(format!("the list of models could not be read: {e}")))?;
        let infos = page.data.into_iter().map(|model| ModelInfo {
            display_name: model.display_name.unwrap_or_else(|| model.id.clone()),
            id: model.id,
        });
        models.extend(infos);
        // What is not an id of a model is not put into an address.
        let is_id = |id: &String| id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
        after = page.last_id.filter(|id| page.has_more && is_id(id));
        if after.is_none() {
            break;
        }
    }
    Ok(models)
}
