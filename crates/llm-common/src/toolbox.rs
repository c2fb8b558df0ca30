//! The tools of a request: chosen where there are too many, repaired, and without those that a vendor refused.

use crate::{
    blame,
    dialect::Dialect,
    memory::Memory,
    names::Names,
    schema::{plainest, repair},
};
use lockkeeper_domain::{ToolDefinition, ToolName};
use lockkeeper_ports::{Completion, Notice};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// Which tools a model is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolChoice {
    /// How many tools of all servers together a request offers at most. By default what the vendor takes: 128 for `OpenAI`,
    /// 512 for Gemini, and 1024 for Claude.
    pub max: Option<usize>,
    /// The servers (`files`) and tools (`files__read`) that are offered first where there are more than that. By default each
    /// server gets an equal share.
    pub first: Vec<String>,
    /// The servers and tools that are never offered. None by default.
    pub leave_out: Vec<String>,
}

impl ToolChoice {
    fn names(names: &[String], tool: &ToolDefinition) -> bool {
        names.iter().any(|name| name == tool.name.as_str() || *name == *tool.server.as_str())
    }
}

/// A tool as it goes over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct WireTool {
    /// Its name.
    pub name: ToolName,
    /// Its description.
    pub description: String,
    /// Its schema, as the vendor takes it.
    pub schema: Value,
    names: Names,
}

impl WireTool {
    /// What tells this tool, as it is now, from others.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.name.as_str(), &self.description, self.schema.to_string()).hash(&mut hasher);
        hasher.finish()
    }
}

/// What a refusal is about, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conceded {
    /// This tool is left out.
    Tool(ToolName),
    /// Only so many are left.
    Fewer(usize),
    /// The schemas of all tools are in their plainest form.
    Plain,
}

/// The tools of one request.
#[derive(Clone, Debug, Default)]
pub struct Toolbox {
    tools: Vec<WireTool>,
    first: Vec<String>,
    servers: BTreeMap<ToolName, String>,
    plain: bool,
    /// What was refused of this request, and is not yet known to be the reason.
    refused: Vec<(u64, ToolName, String)>,
    fewer: Option<usize>,
    notices: Vec<Notice>,
}

impl Toolbox {
    /// The tools as `dialect` takes them, `setting` being where the choice is made.
    pub fn pack(
        tools: &[ToolDefinition],
        dialect: &Dialect,
        (choice, setting): (&ToolChoice, &str),
        (memory, model): (&Memory, &str),
    ) -> Self {
        let offered = tools.iter().filter(|tool| !ToolChoice::names(&choice.leave_out, tool));
        let mut toolbox = Self { first: choice.first.clone(), ..Self::default() };
        for tool in offered {
            let repaired = repair(&tool.input_schema, dialect);
            toolbox.servers.insert(tool.name.clone(), tool.server.as_str().to_owned());
            toolbox.tools.push(WireTool {
                name: tool.name.clone(),
                description: tool.description.clone(),
                schema: repaired.schema,
                names: repaired.names,
            });
        }
        let known = memory.of(model);
        for (key, reason) in &known.tools {
            if let Some(at) = toolbox.tools.iter().position(|tool| tool.key() == *key) {
                let tool = toolbox.tools.remove(at);
                toolbox.notices.push(refused_tool(&tool.name, reason));
            }
        }
        if known.plain {
            toolbox.make_plain();
        }
        let most = choice.max.unwrap_or(dialect.max_tools);
        toolbox.cut_to(most, &format!("at most {most} are offered ({setting}.max)"), setting);
        if let Some(most) = known.max_tools {
            toolbox.cut_to(most, &format!("the provider takes {most}"), setting);
        }
        toolbox
    }

    /// The tools, in their order.
    pub fn tools(&self) -> &[WireTool] {
        &self.tools
    }

    /// What people should know of the tools, once.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The arguments of calls under the names that the tools' servers know.
    pub fn restore(&self, completion: &mut Completion) {
        for call in &mut completion.calls {
            if let Some(tool) = self.tools.iter().find(|tool| tool.name.as_str() == call.name) {
                tool.names.restore(&mut call.args);
            }
        }
    }

    /// Offers less after a refusal in these words, if it is about tools. Each time there is less of them. `grouped` says that a
    /// plain index among the tools is that of a group, as Gemini has them.
    pub fn concede(&mut self, words: &str, grouped: bool) -> Option<Conceded> {
        if self.tools.is_empty() {
            return None;
        }
        if let Some(at) = blame::index(words, grouped).filter(|at| *at < self.tools.len()) {
            return Some(self.refuse(at, words));
        }
        if let Some(most) = blame::limit(words, self.tools.len()) {
            self.fewer = Some(most);
            self.cut_to(most, &format!("the provider takes {most}: {words}"), "llm");
            return Some(Conceded::Fewer(most));
        }
        let names: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        if let Some(at) = blame::name(words, &names).or_else(|| blame::property(words, &self.tools)) {
            return Some(self.refuse(at, words));
        }
        if blame::is_about_schemas(words) && !self.plain {
            self.make_plain();
            let text = format!(
                "The provider refuses the schema of a tool without saying which; it gets plainer ones: {words}"
            );
            self.notices.push(Notice::Adjusted { text });
            return Some(Conceded::Plain);
        }
        None
    }

    /// The vendor took what was left: what was refused before is not offered to this model again.
    pub fn accepted(&mut self, memory: &Memory, model: &str) {
        let (refused, fewer, plain) = (std::mem::take(&mut self.refused), self.fewer.take(), self.plain);
        if refused.is_empty() && fewer.is_none() && !plain {
            return;
        }
        memory.learn(model, |known| {
            for (key, _, reason) in refused {
                known.refuse_tool(key, reason);
            }
            known.max_tools = fewer.or(known.max_tools);
            known.plain |= plain;
        });
    }

    fn refuse(&mut self, at: usize, words: &str) -> Conceded {
        let tool = self.tools.remove(at);
        self.notices.push(refused_tool(&tool.name, words));
        self.refused.push((tool.key(), tool.name.clone(), words.to_owned()));
        Conceded::Tool(tool.name)
    }

    fn make_plain(&mut self) {
        self.plain = true;
        for tool in &mut self.tools {
            tool.schema = plainest(&tool.schema);
        }
    }

    /// Keeps `most` tools: those that are named first, then each server's in turn.
    fn cut_to(&mut self, most: usize, why: &str, setting: &str) {
        if self.tools.len() <= most {
            return;
        }
        let is_first = |tool: &WireTool| {
            let server = self.servers.get(&tool.name);
            self.first.iter().any(|name| name == tool.name.as_str() || Some(name) == server)
        };
        let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
        let mut order: Vec<(bool, usize, usize)> = Vec::new();
        for (at, tool) in self.tools.iter().enumerate() {
            let turn = turns.entry(self.servers.get(&tool.name).map_or("", String::as_str)).or_default();
            order.push((!is_first(tool), *turn, at));
            *turn += 1;
        }
        order.sort_unstable();
        let kept: HashSet<usize> = order.iter().take(most).map(|(.., at)| *at).collect();
        let (mut left_out, mut at) = (Vec::new(), 0);
        self.tools.retain(|tool| {
            let keep = kept.contains(&at);
            at += 1;
            if !keep {
                left_out.push(tool.name.clone());
            }
            keep
        });
        let reason = format!("{why}; {setting}.first says which come first");
        self.notices.push(Notice::ToolsLeftOut { tools: left_out, reason });
    }
}

fn refused_tool(tool: &ToolName, words: &str) -> Notice {
    Notice::ToolsLeftOut { tools: vec![tool.clone()], reason: format!("the provider refuses it: {words}") }
}

#[cfg(test)]
mod tests;
