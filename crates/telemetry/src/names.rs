use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Stands in for names beyond the limit.
const OTHER: &str = "other";

/// Names that strangers choose, as values of a label: the first so many as they are, and one word for all others. What is
/// kept of a label is then bounded, whoever chooses.
#[derive(Debug)]
pub(crate) struct Names {
    known: Mutex<HashSet<String>>,
    max: usize,
}

impl Names {
    pub(crate) fn new(max: usize) -> Self {
        Self { known: Mutex::default(), max }
    }

    /// The name, or the word for those beyond the limit.
    pub(crate) fn bounded(&self, name: &str) -> String {
        const LONGEST: usize = 128;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if name.len() <= LONGEST && (known.contains(name) || known.len() < self.max) {
            if !known.contains(name) {
                known.insert(name.to_owned());
            }
            return name.to_owned();
        }
        OTHER.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_kept_and_the_others_are_one() {
        let names = Names::new(2);
        assert_eq!(names.bounded(&"x".repeat(200)), OTHER);
        for (name, label) in [("a", "a"), ("b", "b"), ("c", OTHER), ("a", "a"), ("d", OTHER)] {
            assert_eq!(names.bounded(name), label);
        }
    }
}
