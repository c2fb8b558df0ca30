//! What servers of models refused, by model. It is shared by all connections of an adapter, and gone with the process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

/// Of how many models something is remembered.
const MODELS: usize = 256;
/// How many tools, and how many parts of histories, are remembered for each.
const PARTS: usize = 4_096;

/// What is known of each model.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    models: Arc<Mutex<HashMap<String, Known>>>,
}

/// What a model's server refused.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Tools, by what they were, and why.
    pub(crate) tools: BTreeMap<u64, String>,
    /// Whether schemas have to be plain.
    pub(crate) plain: bool,
    /// How many tools it takes.
    pub(crate) max_tools: Option<usize>,
    /// Parts of histories: files, signatures, replays.
    pub(crate) parts: BTreeSet<u64>,
    /// Fields of requests, by the names that the adapter has for them, and why.
    pub fields: BTreeMap<&'static str, String>,
}

impl Known {
    pub(crate) fn refuse_tool(&mut self, key: u64, reason: String) {
        if self.tools.len() < PARTS {
            self.tools.insert(key, reason);
        }
    }

    /// Whether this part of a history was refused.
    pub fn refuses(&self, part: u64) -> bool {
        self.parts.contains(&part)
    }

    /// Whether any of these parts was refused.
    pub fn refuses_any(&self, parts: &[u64]) -> bool {
        parts.iter().any(|part| self.refuses(*part))
    }

    /// Keeps in mind that parts of a history were refused.
    pub fn refuse_parts(&mut self, parts: impl IntoIterator<Item = u64>) {
        for part in parts {
            if self.parts.len() < PARTS {
                self.parts.insert(part);
            }
        }
    }
}

impl Memory {
    /// What is known of `model`.
    pub fn of(&self, model: &str) -> Known {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.get(model).cloned().unwrap_or_default()
    }

    /// Adds to what is known of `model`.
    pub fn learn(&self, model: &str, lesson: impl FnOnce(&mut Known)) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() < MODELS || models.contains_key(model) {
            lesson(models.entry(model.to_owned()).or_default());
        }
    }
}
