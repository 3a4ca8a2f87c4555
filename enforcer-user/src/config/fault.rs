//! What is wrong with the configuration: where it stands, what it is, and what to do about it.

use std::fmt;

/// One thing that is wrong with flags, environment or file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The flag that it is about, wherever its value comes from: `--allow`. Empty for a file as a whole.
    pub flag: String,
    /// Where it stands.
    pub place: Place,
    /// As it stands there; empty when it does not.
    pub value: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// Where a value stands. In this order faults are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A flag, typed or left out: `--allow`.
    Flag(String),
    /// A variable of the environment: `ENFORCER_ALLOW`.
    Variable(String),
    /// A line of the file.
    File {
        /// Its name, as it was given.
        file: String,
        /// From 1; 0 for the file as a whole.
        line: usize,
        /// The key, as in `workload[1].namespace`; empty for the line as a whole.
        key: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { file, line: 0, .. } => f.write_str(file),
            Self::File { file, line, key } if key.is_empty() => write!(f, "{file}:{line}"),
            Self::File { file, line, key } => write!(f, "{file}:{line}: {key}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        if !self.value.is_empty() {
            write!(f, " {:?}", self.value)?;
        }
        write!(f, ": {}; {}", self.what, self.hint)
    }
}

/// All of them, as one error.
#[derive(Debug, thiserror::Error)]
pub struct Faulty(pub Vec<Fault>);

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [fault] => fault.fmt(f),
            faults => {
                write!(f, "{} faults in the configuration", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

/// What is wrong with a value, and what to do: without place and value, which the caller knows.
pub(super) type Wrong = (String, String);

pub(super) fn wrong(what: impl Into<String>, hint: impl Into<String>) -> Wrong {
    (what.into(), hint.into())
}

/// `a, b or c`.
pub(super) fn either(words: &[&str]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        words => words.concat(),
    }
}

/// The known word that `text` is a typing error of.
pub(super) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.trim_start_matches('-').replace('_', "-").to_ascii_lowercase();
    let text = plain(text);
    let distance = |known: &str| strsim::damerau_levenshtein(&plain(known), &text);
    // A third of the letters may be wrong: "registy" is near, "proxy" is not.
    let near = known.into_iter().filter(|known| distance(known) <= known.len().div_ceil(3));
    near.min_by_key(|known| distance(known))
}
