//! Text → documents: multi-document YAML or JSON, each document with its line.
//!
//! A line that starts with `---` ends a YAML document wherever it stands (YAML 1.2.2, rule 206), so the text is cut
//! there and each piece is parsed alone. That keeps the cost linear, and lets the budget that stops alias bombs be a
//! multiple of the piece's own length: what is written out may be as long as it likes, what is repeated may not.

use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Options, Spanned};

/// One document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Line of its first key in the text, from 1.
    pub(crate) line: u64,
    /// What it says.
    pub(crate) value: Value,
}

/// Nesting allowed in a document: twice what Kubernetes' objects need. A level costs some 15 kB of stack in a debug build.
const MAX_DEPTH: usize = 64;
/// Nodes and bytes that aliases may write out in any document, beside [`EXPANSION`].
const SMALL_NODES: usize = 1_000;
const SMALL_BYTES: usize = 64 * 1024;
/// How many times its own length a document may grow through aliases.
const EXPANSION: usize = 4;

/// The documents of `text`. One that is refused (a key given twice, aliases, nesting) refuses the whole text: what it
/// would have been cannot be told, and leaving out a Sidecar opens what it closed. The error names line and column.
pub(crate) fn read(text: &str) -> Result<Vec<Document>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(text)
    {
        let blank = text.len() - text.trim_start().len();
        return Ok(vec![Document { line: 1 + newlines(&text[..blank]), value }]);
    }
    let mut documents = Vec::new();
    for (line, piece) in pieces(text) {
        read_piece(line, piece, &mut documents)?;
    }
    Ok(documents)
}

/// The documents in `piece`, which starts at `line`: one at most, unless `...` ends another.
fn read_piece(line: u64, piece: &str, documents: &mut Vec<Document>) -> Result<(), String> {
    match serde_saphyr::from_multiple_with_options::<Spanned<Value>>(piece, options(piece.len())) {
        Ok(found) => {
            documents.extend(found.into_iter().map(|document| Document {
                line: line + document.referenced.line().saturating_sub(1),
                value: document.value,
            }));
            Ok(())
        }
        Err(error) => Err(located(line, &error)),
    }
}

fn has_content(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#')
}

/// What is wrong in a piece that starts at line `start`, with the place in the whole text.
fn located(start: u64, error: &Error) -> String {
    let message = message(error);
    match error.location() {
        Some(at) => {
            format!("line {}, column {}: {message}", start + at.line().saturating_sub(1), at.column())
        }
        None => format!("line {start}: {message}"),
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => message(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key} is given twice"),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => format!("nested deeper than {MAX_DEPTH}"),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => {
            format!("its aliases repeat more than {EXPANSION} times what is written")
        }
        other => {
            let text = other.to_string();
            text.split(" at line ").next().unwrap_or(&text).to_owned()
        }
    }
}

/// Limits for a piece of `length` bytes. Without aliases a text of n bytes has at most n nodes and 2n + 4 events, so
/// none of these can be met by size alone; expanded aliases count like what is written out.
fn options(length: usize) -> Options {
    let nodes = EXPANSION * length + SMALL_NODES;
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * nodes,
            max_nodes: nodes,
            max_depth: MAX_DEPTH,
            max_total_scalar_bytes: EXPANSION * length + SMALL_BYTES,
        },
        // Comments are not looked at, and so need no limit.
        emit_comments: false,
        // YAML 1.2: a namespace may be called `n` and a label `on`.
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

/// Cuts `text` before each line that starts a document, with the line each piece starts at.
fn pieces(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let mut rest = text;
    let mut line = 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(end_of_document(rest));
        let start = line;
        line += newlines(piece);
        rest = after;
        Some((start, piece))
    })
}

/// Where the next `---` line after the first line of `text` starts. A `%` directive belongs to what follows it.
fn end_of_document(text: &str) -> usize {
    let mut from = 0;
    while let Some(at) = text[from..].find("\n---") {
        let start = from + at + 1;
        let after = text.as_bytes().get(start + 3);
        if after.is_none_or(u8::is_ascii_whitespace) && !is_preamble(&text[..start]) {
            return start;
        }
        from = start;
    }
    text.len()
}

fn is_preamble(text: &str) -> bool {
    text.lines().all(|line| line.starts_with('%') || !has_content(line))
}

fn newlines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every document on a line: `LINE value`, or the error.
    fn shown(text: &str) -> String {
        let line = |document: Document| format!("{} {}", document.line, document.value);
        match read(text) {
            Ok(documents) => documents.into_iter().map(line).collect::<Vec<_>>().join("\n"),
            Err(message) => format!("!!{message}"),
        }
    }

    #[test]
    fn documents_and_their_lines() {
        for (text, expected) in [
            ("", ""),
            ("# nothing\n---\n~\n---\n...\n", ""),
            ("# c\na: 1\n---\n# x\n\nb: 2\n", "2 {\"a\":1}\n6 {\"b\":2}"),
            ("%YAML 1.2\n---\na: 1\n", "3 {\"a\":1}"),
            ("\u{feff}--- {a: b}\r\n---\r\nc: d\r\n", "1 {\"a\":\"b\"}\n3 {\"c\":\"d\"}"),
            ("{a: b}\n---\n{c: d}", "1 {\"a\":\"b\"}\n3 {\"c\":\"d\"}"),
            ("\n[{\"a\": 1}]\n", "2 [{\"a\":1}]"),
            ("a: |\n  x\n  --- y\n---x: 1\n", "1 {\"a\":\"x\\n--- y\\n\",\"---x\":1}"),
            (
                "[n, no, on, yes, true, 012, 0x1f, 1e999]",
                "1 [\"n\",\"no\",\"on\",\"yes\",true,12.0,31,\".inf\"]",
            ),
            ("a: &a {x: 1}\nb: *a\n", "1 {\"a\":{\"x\":1},\"b\":{\"x\":1}}"),
            ("a: 1\n---\nb: 2\nb: 3\n---\nc: 4\n", "!!line 4, column 1: the key b is given twice"),
            ("a: 1\n---\nb: {c: 2, c: 3}\n", "!!line 3, column 11: the key c is given twice"),
            ("a: 1\n---\nc: [1\n", "!!line 3, column 4: unclosed bracket '['"),
            ("{\"a\": 1, }x", "!!line 1, column 11: "),
        ] {
            let shown = shown(text);
            let fits = if expected.ends_with(": ") { shown.starts_with(expected) } else { shown == expected };
            assert!(fits, "{text}\ngave {shown}\nnot  {expected}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused_and_size_alone_is_not() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            let line = format!("a{level}: &a{level} [{}]\n", [below.as_str(); 8].join(", "));
            bomb.push_str(&line);
        }
        assert!(
            shown(&bomb).starts_with("!!line ")
                && shown(&bomb).contains("its aliases repeat more than 4 times what is written"),
            "{}",
            shown(&bomb)
        );

        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 50].join(", "));
        assert!(shown(&long).contains("its aliases repeat"), "{}", &shown(&long)[..200]);

        let deep = "[".repeat(70) + &"]".repeat(70);
        assert_eq!(shown(&format!("a: 1\n---\na: {deep}")).split(", column").next(), Some("!!line 3"));
        assert!(shown(&format!("a: {deep}")).contains("nested deeper than 64"));

        let many = "a: {b: [c, d]} # e\n---\n".repeat(2_000);
        assert_eq!(read(&many).unwrap().len(), 2_000);
        let wide = format!("a:\n{}", "- {b: c}\n".repeat(90_000));
        assert_eq!(read(&wide).unwrap().len(), 1);
    }
}
