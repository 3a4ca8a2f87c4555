//! Just enough of a Rust lexer for the checks: comments, strings and literals are gone, what is left are words,
//! `::` and single punctuation characters, each with its line.

/// One token and the line it starts on, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    /// Whether this is an identifier, a keyword or a number.
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(is_word_char)
    }
}

fn is_word_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The tokens of a Rust source file.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next() {
        if !token.text.trim().is_empty() {
            found.push(token);
        }
    }
    found
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let end = (self.at + bytes).min(self.text.len());
        let skipped = &self.text[self.at..end];
        self.line += skipped.matches('\n').count();
        self.at = end;
        skipped
    }

    /// The next token; an empty one stands for something skipped.
    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        let line = self.line;
        if let Some(length) = literal_length(rest) {
            self.skip(length);
            return Some(Token { text: "", line });
        }
        let length = match first {
            _ if is_word_char(first) => rest.find(|c| !is_word_char(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        Some(Token { text: self.skip(length), line })
    }
}

/// The length of the comment, string, character or lifetime that `rest` starts with.
fn literal_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        return Some(1 + quote_length(quoted));
    }
    let prefix = rest.bytes().take_while(|b| matches!(b, b'r' | b'b' | b'c')).count().min(2);
    let body = &rest[prefix..];
    let hashes = body.bytes().take_while(|b| *b == b'#').count();
    if !body[hashes..].starts_with('"') || (hashes > 0 && prefix == 0) {
        return None;
    }
    if rest[..prefix].contains('r') {
        let close = format!("\"{}", "#".repeat(hashes));
        let start = prefix + hashes + 1;
        return Some(rest[start..].find(&close).map_or(rest.len(), |end| start + end + close.len()));
    }
    Some(prefix + 1 + escaped_length(&body[1..], '"'))
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        let step = if here.starts_with(b"/*") {
            depth += 1;
            2
        } else if here.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// What follows a single quote: the rest of a character literal, or nothing when it was a lifetime's.
fn quote_length(quoted: &str) -> usize {
    if quoted.starts_with('\\') {
        return escaped_length(quoted, '\'');
    }
    let mut chars = quoted.chars();
    match (chars.next(), chars.next()) {
        (Some(c), Some('\'')) => c.len_utf8() + 1,
        // A lifetime: its name is skipped too, it is no path.
        _ => quoted.find(|c| !is_word_char(c)).unwrap_or(quoted.len()),
    }
}

/// The length up to and including an unescaped `close`.
fn escaped_length(text: &str, close: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == close => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_and_lifetimes_are_gone() {
        let text = "// aya::a\n/* aya /* aya */ aya */ let x: &'a str = \"aya \\\" ::\"; 'x' '\\'' '}'";
        assert_eq!(words(text), ["let", "x", ":", "&", "str", "=", ";"]);
        assert_eq!(words("r#\"aya \" aya\"# b\"{\" br\"\\\" r#type"), ["r", "#", "type"]);
        assert_eq!(words("crate::a"), ["crate", "::", "a"]);
    }

    #[test]
    fn lines_count_through_multi_line_strings() {
        let found = tokens("a\n\"x\ny\"\nb");
        assert_eq!(found[1], Token { text: "b", line: 4 });
    }
}
