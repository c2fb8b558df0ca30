//! Reads all sources and makes one configuration of them, with all problems at once.

use super::{
    Config, dotenv, exposed,
    layer::Layer,
    problem::{Kind, Origin, Place, Problem},
    toml_file, units, variables, wrong_value,
};
use figment::{
    Figment, Provider as _,
    error::{Actual, Kind as FigmentKind},
    value::{Dict, Value},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// What a configuration is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// The process's environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where `lockkeeper.toml` and `.env` lie.
    pub(crate) dir: PathBuf,
    /// The file for the whole machine.
    pub(crate) system_file: Option<PathBuf>,
    /// The file that stands in for `lockkeeper.toml`. It must be there.
    pub(crate) config: Option<PathBuf>,
    /// Settings from the command line.
    pub(crate) settings: Vec<Setting>,
}

/// A setting of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The flag, as people write it.
    pub(crate) flag: String,
    /// The path, as in `server.port`.
    pub(crate) path: String,
    /// The value.
    pub(crate) value: String,
}

/// A configuration and where it comes from. Usable only where there are no problems.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// Everything that is wrong.
    pub(crate) problems: Vec<Problem>,
    /// What is odd and no error.
    pub(crate) notices: Vec<String>,
    /// The directory that relative paths of the configuration start from.
    pub(crate) dir: PathBuf,
    /// The environment and, below it, `.env`.
    pub(crate) variables: BTreeMap<String, String>,
    /// What it was read from, to read it again.
    pub(crate) inputs: Inputs,
    /// The files of secrets that variables name.
    pub(super) secret_files: Vec<PathBuf>,
    pub(super) merged: Value,
    figment: Figment,
    layers: Vec<Layer>,
}

impl Loaded {
    /// Where the value at `path` comes from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        let Some(value) = self.value(path) else { return Origin::Unset };
        self.layer_of(value).and_then(|layer| layer.origin(path)).unwrap_or(Origin::Default)
    }

    /// The files that the configuration is read from, whether they exist or not.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let Inputs { dir, system_file, config, .. } = &self.inputs;
        let own = config.clone().unwrap_or_else(|| PathBuf::from("lockkeeper.toml"));
        let named = system_file.iter().cloned().chain([dir.join(own), dir.join(".env")]);
        named.chain(self.secret_files.iter().cloned()).collect()
    }

    /// Whether somebody set the value at `path`.
    pub(crate) fn is_set(&self, path: &str) -> bool {
        self.value(path).is_some()
    }

    fn value(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.merged, |value, key| match value {
            Value::Dict(_, dict) => dict.get(key),
            Value::Array(_, items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Whether a problem with the value at `path`, or with one that it is part of, is known already.
    pub(super) fn is_bad(&self, path: &str) -> bool {
        let covers = |key: &str| key == path || path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        self.problems.iter().any(|problem| !problem.key.is_empty() && covers(&problem.key))
    }

    /// The text at `path`, as it was written.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.value(path)?.as_str()
    }

    fn layer_of(&self, value: &Value) -> Option<&Layer> {
        let metadata = self.figment.get_metadata(value.tag())?;
        self.layers.iter().find(|layer| layer.name() == metadata.name)
    }
}

/// Reads everything.
pub(crate) fn load(inputs: &Inputs) -> Loaded {
    let mut problems = Vec::new();
    let mut notices = Vec::new();
    let mut layers = Vec::new();
    let mut secret_files = Vec::new();
    files(inputs, &mut layers, &mut problems);
    let mut all = inputs.environment.clone();
    let mut take = |mut layer: Layer, variables: &BTreeMap<String, String>, origin: &dyn Fn(&str) -> Origin| {
        let found = variables::fill(&mut layer, variables, &inputs.dir, origin);
        problems.extend(found.problems);
        notices.extend(found.notices);
        secret_files.extend(found.files);
        layers.push(layer);
    };
    let (dotenv, bad_lines) = read_dotenv(inputs);
    let path = PathBuf::from(".env");
    let lower: BTreeMap<String, String> = dotenv
        .iter()
        .filter(|(name, _)| !inputs.environment.contains_key(*name))
        .map(|(name, (value, _))| (name.clone(), value.clone()))
        .collect();
    take(Layer::new(".env"), &lower, &|variable| {
        let line = dotenv.get(variable).map_or(0, |(_, line)| *line);
        Origin::DotEnv { path: path.clone(), line, variable: variable.to_owned() }
    });
    take(Layer::new("environment"), &inputs.environment, &|variable| Origin::Variable(variable.to_owned()));
    problems.extend(bad_lines);
    all.extend(lower);
    let mut flags = Layer::new("flags");
    for Setting { flag, path, value } in &inputs.settings {
        flags.set_text(path, value, Origin::Flag(flag.clone()));
    }
    layers.push(flags);

    let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
    let merged = figment.data().ok().and_then(|mut data| data.remove(figment.profile())).unwrap_or_else(Dict::new);
    let mut loaded = Loaded {
        config: Config::default(),
        problems,
        notices,
        dir: inputs.dir.clone(),
        variables: all,
        inputs: inputs.clone(),
        secret_files,
        merged: Value::from(merged),
        figment,
        layers,
    };
    extract(&mut loaded);
    let readable = exposed::notices(&loaded);
    loaded.notices.extend(readable);
    loaded
}

fn files(inputs: &Inputs, layers: &mut Vec<Layer>, problems: &mut Vec<Problem>) {
    let mut add = |path: &Path, shown: &Path| match toml_file::read(path, shown) {
        Ok(Some(layer)) => {
            layers.push(layer);
            true
        }
        Ok(None) => false,
        Err(found) => {
            problems.extend(found);
            true
        }
    };
    if let Some(path) = &inputs.system_file {
        add(path, path);
    }
    match &inputs.config {
        None => {
            add(&inputs.dir.join("lockkeeper.toml"), Path::new("lockkeeper.toml"));
        }
        Some(path) => {
            if !add(&inputs.dir.join(path), path) {
                problems.push(Problem {
                    kind: Kind::Unreadable,
                    key: String::new(),
                    origin: Origin::Flag("--config".to_owned()),
                    what: format!("there is no file {}", path.display()),
                    fix: "name a file that exists, or leave --config out".to_owned(),
                });
            }
        }
    }
}

fn read_dotenv(inputs: &Inputs) -> (dotenv::Variables, Vec<Problem>) {
    let path = PathBuf::from(".env");
    let problem = |kind, line: Option<usize>, what: String, fix: &str| {
        let place = line.map(|line| Place { line, column: 1 });
        let origin = Origin::File { path: path.clone(), place };
        Problem { kind, key: String::new(), origin, what, fix: fix.to_owned() }
    };
    match fs::read_to_string(inputs.dir.join(&path)) {
        Ok(text) => {
            let (variables, bad) = dotenv::parse(&text);
            let fix = "write the line as NAME=value, or NAME=\"value\"";
            let bad = bad.into_iter().map(|bad| problem(Kind::Syntax, Some(bad.line), bad.what.to_owned(), fix));
            (variables, bad.collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
        Err(error) => {
            let what = format!("the file cannot be read: {error}");
            (dotenv::Variables::new(), vec![problem(Kind::Unreadable, None, what, "make it readable, or remove it")])
        }
    }
}

/// Deserializes the merged values. serde stops at the first error: each bad value is told and taken out, until the
/// rest is good.
fn extract(loaded: &mut Loaded) {
    const MOST: usize = 200;
    let mut rest = loaded.merged.clone();
    for _ in 0..MOST {
        let error = match rest.deserialize::<Config>() {
            Ok(config) => {
                loaded.config = config;
                return;
            }
            Err(error) => error,
        };
        let path = error.path.join(".");
        if let FigmentKind::InvalidType(actual, expected) = &error.kind
            && expected.contains("string")
            && !matches!(actual, Actual::Seq | Actual::Map)
            && let Some(text) = text_of(loaded, &path)
            && replace(&mut rest, &error.path, Value::from(text))
        {
            continue;
        }
        if let FigmentKind::InvalidType(Actual::Str(text), _) | FigmentKind::InvalidValue(Actual::Str(text), _) =
            &error.kind
            && let Some(value) = error.path.last().and_then(|key| units::value(key, text))
            && replace(&mut rest, &error.path, Value::from(value))
        {
            continue;
        }
        let origin = loaded.origin(&path);
        loaded.problems.push(wrong_value::problem(&path, origin, &error.kind));
        if !remove(&mut rest, &error.path) {
            return;
        }
    }
}

fn text_of(loaded: &Loaded, path: &str) -> Option<String> {
    let layer = loaded.layer_of(loaded.value(path)?)?;
    layer.text(path).map(str::to_owned)
}

/// Takes the value at `path` out; with an element of an array goes the whole array, so that no index moves.
pub(super) fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else { return false };
    let Value::Dict(_, dict) = value else { return false };
    let Some(inner) = dict.get_mut(key) else { return false };
    if rest.is_empty() || !remove(inner, rest) {
        dict.remove(key);
    }
    true
}

fn replace(value: &mut Value, path: &[String], with: Value) -> bool {
    let mut place = value;
    for key in path {
        let inner = match place {
            Value::Dict(_, dict) => dict.get_mut(key),
            Value::Array(_, items) => key.parse().ok().and_then(|at: usize| items.get_mut(at)),
            _ => None,
        };
        let Some(inner) = inner else { return false };
        place = inner;
    }
    let changed = *place != with;
    *place = with;
    changed
}
