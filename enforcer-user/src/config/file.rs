//! `--config FILE`: YAML with a key for every flag of `enforcer run`. Read once, when the agent starts.
//!
//! Three steps, each of which tells all that it finds wrong: the text is read, becomes a tree that knows its lines
//! (`yaml`), and is held against the definitions of the flags (`keys`). What the values mean is
//! [`crate::config::resolve`]'s, for them as for flags.

mod keys;
mod yaml;

use std::fs::File as Opened;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::config::fault::{Fault, Place, Wrong, wrong};
use crate::config::settings::Setting;

/// The longest file that is read: whatever was named by mistake is not read to its end.
const LONGEST: u64 = 1 << 20;

/// What a file says.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its name, as it was given.
    pub name: String,
    /// The keys that can be used.
    pub entries: Vec<Entry>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// Whether all of its keys are known: of a file that could not be read, they are not.
    pub read: bool,
}

/// A key and its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// As the flag, without its dashes.
    pub key: String,
    /// Where the key stands.
    pub line: usize,
    /// Its values: one, unless the key is a list.
    pub items: Vec<Item>,
}

/// One value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What it is called in messages: `allow[1]`.
    pub name: String,
    /// Where it stands.
    pub line: usize,
    /// As the flag would have it.
    pub text: String,
    /// Of a mapping, its fields, since a text cannot say everything that they can: a path may have a comma in it.
    pub fields: Vec<Field>,
}

/// A field of a value that is a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its key.
    pub key: String,
    /// Whether it is all that its key has.
    pub part: Part,
    /// Its value; `None` when it has none that can be used, which has been told.
    pub value: Option<String>,
    /// Where it stands; 0 when it is part of a text.
    pub line: usize,
}

/// What a field is to the key that it stands below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Its value.
    Whole,
    /// A label, in the mapping `labels`.
    Label,
    /// The element with this number, in a list.
    Element(usize),
}

impl Field {
    /// What it is called in messages, below its value.
    pub fn name(&self) -> String {
        match self.part {
            Part::Whole => self.key.clone(),
            Part::Label => format!("labels.{}", self.key),
            Part::Element(number) => format!("{}[{number}]", self.key),
        }
    }
}

impl File {
    /// Reads the file, which may hold any of `settings`.
    pub fn read(path: &str, settings: &[Setting]) -> Self {
        match text(Path::new(path)) {
            Ok(text) => Self::parse(path, &text, settings),
            Err((line, wrong)) => {
                Self { name: path.to_owned(), faults: vec![at(path, line, wrong)], ..Self::default() }
            }
        }
    }

    /// As if the file had this text.
    pub fn parse(name: &str, text: &str, settings: &[Setting]) -> Self {
        let (entries, faults, read) = match yaml::parse(text) {
            Ok(root) => {
                let (entries, faults) = keys::check(name, root, settings);
                (entries, faults, true)
            }
            Err((line, wrong)) => (Vec::new(), vec![at(name, line, wrong)], false),
        };
        Self { name: name.to_owned(), entries, faults, read }
    }

    /// The key of a flag.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// A fault of the file as a whole, or of a line of it.
fn at(file: &str, line: usize, (what, hint): Wrong) -> Fault {
    let place = Place::File { file: file.to_owned(), line, key: String::new() };
    Fault { flag: String::new(), place, value: String::new(), what, hint }
}

/// The text of the file, or where it is wrong and how.
fn text(path: &Path) -> Result<String, (usize, Wrong)> {
    let failed = |error: &std::io::Error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => "give the path of a YAML file, or leave --config out",
            ErrorKind::IsADirectory => "give the path of a file in it",
            _ => "make it readable for whoever runs the agent",
        };
        (0, wrong(format!("cannot read the file: {error}"), hint))
    };
    if path.as_os_str().is_empty() {
        return Err((0, wrong("--config is empty", "give the path of a YAML file, or leave --config out")));
    }
    let mut bytes = Vec::new();
    let file = Opened::open(path).map_err(|error| failed(&error))?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err((0, wrong("longer than 1 MiB", "this is not a configuration; give another file")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].split(|byte| *byte == b'\n').count();
        (line, wrong("not UTF-8", "save the file as UTF-8"))
    })
}
