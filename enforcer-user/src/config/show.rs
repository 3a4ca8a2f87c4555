//! The configuration as a file that says the same, with where each value comes from: `enforcer run --check-config`.

use std::fmt::Write as _;

use crate::config::file::{Item, Part};
use crate::config::given::{Given, Origin};
use crate::config::settings::{self, Form, Setting};

/// Every key, with its value and a comment.
pub fn yaml(given: &Given) -> String {
    settings::all().iter().map(|setting| entry(given, setting)).collect()
}

fn entry(given: &Given, setting: &Setting) -> String {
    let Some((origin, texts)) = given.value(&setting.key) else { return String::new() };
    let comment = match origin {
        Origin::Default => "default".to_owned(),
        Origin::Flag => format!("--{}", setting.key),
        Origin::Variable(name) => name.clone(),
        Origin::File(entry) => format!("{}:{}", given.file().escape_debug(), entry.line),
    };
    let key = &setting.key;
    let texts: Vec<&str> = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    let items = match origin {
        Origin::File(entry) => &entry.items[..],
        _ => &[],
    };
    match setting.form {
        Form::One => format!("{key}: {} # {comment}\n", scalar(texts.first().unwrap_or(&""))),
        Form::Numbers if texts.is_empty() => format!("{key}: {{}} # {comment}\n"),
        Form::Numbers => {
            let number = |text: &&str| {
                let (name, number) = text.split_once('=').unwrap_or((text, ""));
                format!("  {}: {}\n", scalar(name), scalar(number))
            };
            format!("{key}: # {comment}\n{}", texts.iter().map(number).collect::<String>())
        }
        _ if texts.is_empty() => format!("{key}: [] # {comment}\n"),
        Form::Workloads if items.len() == texts.len() => {
            format!("{key}: # {comment}\n{}", items.iter().map(workload).collect::<String>())
        }
        _ => {
            let item = |text: &&str| format!("- {}\n", scalar(text));
            format!("{key}: # {comment}\n{}", texts.iter().map(item).collect::<String>())
        }
    }
}

/// A workload as the file has it: text or mapping.
fn workload(item: &Item) -> String {
    if item.fields.is_empty() {
        return format!("- {}\n", scalar(&item.text));
    }
    let mut text = String::new();
    for (at, field) in item.fields.iter().enumerate() {
        let (key, value) = (scalar(&field.key), scalar(field.value.as_deref().unwrap_or_default()));
        let before = at.checked_sub(1).map(|before| item.fields[before].part);
        let _ = match field.part {
            Part::Whole => writeln!(text, "  {key}: {value}"),
            Part::Label if before == Some(Part::Label) => writeln!(text, "    {key}: {value}"),
            Part::Label => writeln!(text, "  labels:\n    {key}: {value}"),
            Part::Element(0) => writeln!(text, "  {key}:\n  - {value}"),
            Part::Element(_) => writeln!(text, "  - {value}"),
        };
    }
    // The first field stands behind the dash.
    text.replace_range(..1, "-");
    text
}

/// A value, quoted where YAML would make something else of it, except for numbers and truths, which are meant.
fn scalar(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) || matches!(text, "true" | "false");
    if plain && !text.is_empty() {
        return text.to_owned();
    }
    // Double quotes hold anything on one line.
    let words = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    let begins = |c: char| c.is_ascii_alphabetic() || c == '/';
    let bare = text.chars().all(words) && text.starts_with(begins) && !text.ends_with(':');
    let truths = ["on", "off", "yes", "no", "null", "y", "n"];
    if bare && !truths.contains(&&*text.to_ascii_lowercase()) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}
