//! Names of properties that a vendor does not take: renamed in the schema, and renamed back in the arguments of calls.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};

/// Which names of properties a vendor takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// All of them.
    Any,
    /// `[a-zA-Z0-9_.-]{1,64}`.
    Dotted,
    /// `[a-zA-Z_][a-zA-Z0-9_]{0,63}`.
    Word,
}

/// The longest name that [`Keys::Dotted`] and [`Keys::Word`] take.
const LONGEST: usize = 64;

impl Keys {
    /// The nearest name that is taken and not yet in `used`, to which it is added.
    pub(crate) fn fit(self, name: &str, used: &mut HashSet<String>) -> String {
        let fitted = self.nearest(name);
        let (mut free, mut count) = (fitted.clone(), 1_u32);
        while !used.insert(free.clone()) {
            count += 1;
            let end = format!("_{count}");
            free = format!("{}{end}", fitted.chars().take(LONGEST - end.len()).collect::<String>());
        }
        free
    }

    fn nearest(self, name: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || (self == Self::Dotted && (c == '.' || c == '-'));
        match self {
            Self::Any => name.to_owned(),
            Self::Dotted | Self::Word => {
                let fitted: String = name.chars().take(LONGEST).map(|c| if plain(c) { c } else { '_' }).collect();
                let begins_badly = self == Self::Word && fitted.starts_with(|c: char| c.is_ascii_digit());
                match fitted.as_str() {
                    "" => "_".to_owned(),
                    _ if begins_badly => format!("_{}", fitted.chars().take(LONGEST - 1).collect::<String>()),
                    _ => fitted,
                }
            }
        }
    }
}

/// The renamed properties of a schema, at the places where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The server's names by those on the wire.
    pub(crate) renamed: BTreeMap<String, String>,
    /// What lies below properties, by their names on the wire.
    pub(crate) below: BTreeMap<String, Names>,
    /// What lies below every item of an array, or every property that is not listed.
    pub(crate) every: Vec<Names>,
    /// What other branches say of the same place.
    pub(crate) branches: Vec<Names>,
}

impl Names {
    /// Whether nothing was renamed.
    pub fn is_empty(&self) -> bool {
        self.renamed.is_empty() && self.below.is_empty() && self.every.is_empty() && self.branches.is_empty()
    }

    /// The arguments under the names that the tool's server knows.
    pub fn restore(&self, args: &mut Value) {
        if !self.is_empty() {
            restore(args, &[self]);
        }
    }
}

fn restore(value: &mut Value, places: &[&Names]) {
    let mut all: Vec<&Names> = Vec::new();
    let mut open: Vec<&Names> = places.to_vec();
    while let Some(names) = open.pop() {
        all.push(names);
        open.extend(&names.branches);
    }
    match value {
        Value::Array(items) => {
            let below: Vec<&Names> = all.iter().flat_map(|names| &names.every).collect();
            if !below.is_empty() {
                for item in items {
                    restore(item, &below);
                }
            }
        }
        Value::Object(fields) => {
            let mut restored = Map::new();
            for (key, mut value) in std::mem::take(fields) {
                let mut below: Vec<&Names> = all.iter().filter_map(|names| names.below.get(&key)).collect();
                if below.is_empty() {
                    below.extend(all.iter().flat_map(|names| &names.every));
                }
                if !below.is_empty() {
                    restore(&mut value, &below);
                }
                let own = all.iter().find_map(|names| names.renamed.get(&key));
                restored.insert(own.cloned().unwrap_or(key), value);
            }
            *fields = restored;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_their_pattern_and_stay_apart() {
        let mut used = HashSet::new();
        assert_eq!(Keys::Dotted.fit("$filter", &mut used), "_filter");
        assert_eq!(Keys::Dotted.fit("@filter", &mut used), "_filter_2");
        assert_eq!(Keys::Dotted.fit("a.b-c", &mut used), "a.b-c");
        assert_eq!(Keys::Word.fit("a.b-c", &mut used), "a_b_c");
        assert_eq!(Keys::Word.fit("2nd", &mut used), "_2nd");
        assert_eq!(Keys::Dotted.fit("", &mut used), "_");
        let long = "x".repeat(100);
        assert_eq!(Keys::Dotted.fit(&long, &mut used).len(), 64);
        assert_eq!(Keys::Dotted.fit(&long, &mut used).len(), 64);
        assert_eq!(Keys::Any.fit(&long, &mut used), long);
    }
}
