//! Names of Kubernetes: namespaces, labels, domains.

use enforcer_core::name::{Labels, Namespace};

use crate::config::resolve::{Wrong, wrong};

/// RFC 1123: lower-case letters, digits and dashes, at most 63, none of them a dash in front or behind.
pub(super) fn namespace(text: &str) -> Result<Namespace, Wrong> {
    if is_label(text) && text.len() <= 63 {
        return Ok(Namespace::new(text));
    }
    Err(wrong(
        format!("{text:?} is not the name of a namespace"),
        "use lower-case letters, digits and dashes, at most 63",
    ))
}

/// `cluster.local`.
pub(super) fn domain(text: &str) -> Result<String, Wrong> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if text.split('.').all(|label| is_label(label) && label.len() <= 63) {
        return Ok(text);
    }
    Err(wrong("not a domain", "write it as in cluster.local"))
}

/// `k=v;k2=v2`.
pub(super) fn labels(text: &str) -> Result<Labels, Wrong> {
    let mut labels = Labels::new();
    for pair in text.split(';').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(wrong(format!("{pair:?} is not a label"), "write labels=k=v;k2=v2"));
        };
        label(key, value)?;
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(wrong(format!("the label {key:?} is there twice"), "keep one"));
        }
    }
    Ok(labels)
}

/// One label. Its key may have a domain in front.
pub(super) fn label(key: &str, value: &str) -> Result<(), Wrong> {
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || "-_./".contains(*c));
    match key.chars().chain(value.chars()).find(odd) {
        None if key.is_empty() => Err(wrong("a label without a key", "give it one")),
        None => Ok(()),
        Some(c) => Err(wrong(
            format!("the label {key}={value} has {c:?} in it"),
            "use letters, digits and the signs - _ . /",
        )),
    }
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}
