//! The list of models (<https://ai.google.dev/api/models#method:-models.list>).

use crate::client::Client;
use lockkeeper_ports::{LlmError, ModelInfo};
use serde::Deserialize;

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
    let mut models = Vec::new();
    let mut token = None::<String>;
    for _ in 0..PAGES {
        let path =
            token.map_or_else(|| "models?pageSize=1000".to_owned(), |t| format!("models?pageSize=1000&pageToken={t}"));
        let body = client.get(&path).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|e| LlmError::BadResponse(format!("the list of models could not be read: {e}")))?;
        models.extend(page.models.into_iter().filter(converses).map(|model| {
            let id = model.name.strip_prefix("models/").unwrap_or(&model.name).to_owned();
            ModelInfo { display_name: model.display_name.unwrap_or_else(|| id.clone()), id }
        }));
        // What could change the address is not put into it.
        let is_token = |t: &String| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c));
        token = page.next_page_token.filter(is_token);
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
