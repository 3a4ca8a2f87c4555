//! Where functions are and how long they are.

use crate::source::{self, Token};

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of `fn`.
    pub(super) line: usize,
    /// From `fn` to the closing brace, both included.
    pub(super) lines: usize,
}

/// Every function of a source file, nested ones too.
pub(super) fn scan(text: &str) -> Vec<Function> {
    let tokens = source::tokens(text);
    let starts = tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].text == "fn" && pair[1].is_word());
    starts
        .filter_map(|(at, pair)| {
            let end = body_end(&tokens[at..])?;
            Some(Function {
                name: pair[1].text.to_owned(),
                line: pair[0].line,
                lines: end - pair[0].line + 1,
            })
        })
        .collect()
}

/// The line of the brace that closes the body; `None` for a declaration.
fn body_end(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0usize;
    // Parentheses and brackets before the body: `[u8; 4]` in a signature ends nothing.
    let mut nested = 0usize;
    for token in tokens {
        match token.text {
            "(" | "[" if depth == 0 => nested += 1,
            ")" | "]" if depth == 0 => nested = nested.saturating_sub(1),
            ";" if depth == 0 && nested == 0 => return None,
            "{" => depth += 1,
            "}" if depth <= 1 => return (depth == 1).then_some(token.line),
            "}" => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_measured_and_declarations_are_not() {
        let text = "trait T {\n fn a(x: [u8; 4]);\n}\nfn b(f: fn(u8)) -> [u8; 2] {\n  \"}\";\n  { '}' }\n}\n";
        assert_eq!(scan(text), [Function { name: "b".to_owned(), line: 4, lines: 4 }]);
    }

    #[test]
    fn nested_functions_are_seen() {
        let lines: Vec<_> =
            scan("fn a() {\n fn b() {\n }\n}").into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(lines, [("a".to_owned(), 4), ("b".to_owned(), 2)]);
    }
}
