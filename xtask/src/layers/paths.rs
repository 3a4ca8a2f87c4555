//! Every path that a source file names: `use` trees taken apart, `a::b` in code, `super` and `self` resolved.

use std::collections::BTreeSet;

use crate::source::{self, Token};

/// A path as written, made absolute where it starts with `self` or `super`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathUse {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// Below `#[cfg(test)]`.
    pub(super) in_test: bool,
    /// Starts with a name that the file itself imports or declares: its origin was judged there.
    pub(super) local: bool,
    in_use: bool,
}

/// The paths of a file whose module path within its crate is `module`.
pub(super) fn scan(text: &str, module: &[String]) -> Vec<PathUse> {
    let tokens = source::tokens(text);
    let mut scan = Scan {
        tokens: &tokens,
        at: 0,
        module,
        scopes: Vec::new(),
        pending: Scope::default(),
        found: vec![],
        imported: BTreeSet::new(),
        declared: BTreeSet::new(),
    };
    scan.run();
    for path in &mut scan.found {
        let first = path.segments[0].as_str();
        path.local = scan.declared.contains(first) || (!path.in_use && scan.imported.contains(first));
    }
    scan.found
}

/// What an opening brace begins.
#[derive(Debug, Default, Clone)]
struct Scope {
    module: Option<String>,
    test: bool,
}

struct Scan<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    module: &'a [String],
    scopes: Vec<Scope>,
    pending: Scope,
    found: Vec<PathUse>,
    imported: BTreeSet<String>,
    declared: BTreeSet<String>,
}

impl<'a> Scan<'a> {
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn run(&mut self) {
        while self.at < self.tokens.len() {
            match self.text(0) {
                "#" if (1..=5).map(|n| self.text(n)).eq(["[", "cfg", "(", "test", ")"]) => {
                    self.pending.test = true;
                    self.at += 6;
                }
                "mod" if self.tokens.get(self.at + 1).is_some_and(Token::is_word) => {
                    self.pending.module = Some(self.text(1).to_owned());
                    self.declared.insert(self.text(1).to_owned());
                    self.at += 1;
                }
                "{" => self.scopes.push(std::mem::take(&mut self.pending)),
                "}" => drop(self.scopes.pop()),
                ";" => self.pending = Scope::default(),
                "use" => {
                    self.at += 1;
                    self.use_tree(&[]);
                    continue;
                }
                _ if self.tokens[self.at].is_word() && self.text(1) == "::" => self.inline_path(),
                _ => {}
            }
            self.at += 1;
        }
    }

    fn inline_path(&mut self) {
        let mut segments = vec![self.text(0).to_owned()];
        while self.text(1) == "::" && self.tokens.get(self.at + 2).is_some_and(Token::is_word) {
            segments.push(self.text(2).to_owned());
            self.at += 2;
        }
        self.emit(segments, false);
    }

    /// One branch of a `use` tree; ends at the `,`, `}` or `;` after it.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        while self.at < self.tokens.len() {
            match self.text(0) {
                "::" | "*" => {}
                "{" => return self.use_group(&segments),
                "as" => drop(self.imported.insert(self.text(1).to_owned())),
                "," | "}" | ";" => break,
                _ if self.text_before() == "as" => {}
                word => segments.push(word.to_owned()),
            }
            self.at += 1;
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        if let Some(last) = segments.last() {
            self.imported.insert(last.clone());
            self.at -= 1;
            self.emit(segments, true);
            self.at += 1;
        }
    }

    fn text_before(&self) -> &'a str {
        self.tokens[self.at - 1].text
    }

    fn use_group(&mut self, prefix: &[String]) {
        while self.at < self.tokens.len() {
            self.at += 1;
            self.use_tree(prefix);
            if self.text(0) != "," {
                break;
            }
        }
        self.at += 1;
    }

    fn emit(&mut self, segments: Vec<String>, in_use: bool) {
        let in_test = self.pending.test || self.scopes.iter().any(|scope| scope.test);
        let segments = self.absolute(segments);
        let line = self.tokens[self.at].line;
        self.found.push(PathUse { line, segments, in_test, local: false, in_use });
    }

    fn absolute(&self, segments: Vec<String>) -> Vec<String> {
        let inner = self.scopes.iter().filter_map(|scope| scope.module.clone());
        let mut module: Vec<String> = self.module.iter().cloned().chain(inner).collect();
        let relative = segments.iter().take_while(|s| *s == "self" || *s == "super").count();
        if relative == 0 {
            return segments;
        }
        for segment in &segments[..relative] {
            if segment == "super" {
                module.pop();
            }
        }
        let rest = segments.into_iter().skip(relative);
        std::iter::once("crate".to_owned()).chain(module).chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let module = ["a".to_owned(), "b".to_owned()];
        let found: Vec<_> = scan(text, &module)
            .into_iter()
            .map(|p| {
                format!(
                    "{}{}{}",
                    p.segments.join("::"),
                    if p.in_test { " test" } else { "" },
                    if p.local { " local" } else { "" }
                )
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn use_trees_are_taken_apart() {
        check(
            "use std::{fs::{self, File}, io as x, net::*};",
            &["std::fs", "std::fs::File", "std::io", "std::net"],
        );
        check("pub use ::aya::Pod; use aya;", &["aya::Pod", "aya"]);
    }

    #[test]
    fn relative_paths_become_absolute() {
        check(
            "use super::c::D; use self::e; fn f() { super::g() }",
            &["crate::a::c::D", "crate::a::b::e", "crate::a::g"],
        );
        check("mod tests { use super::*; use super::super::x; }", &["crate::a::b", "crate::a::x"]);
    }

    #[test]
    fn tests_and_local_names_are_marked() {
        check("#[cfg(test)] mod tests { fn f() { x::y() } } fn g() { x::y() }", &["x::y test", "x::y"]);
        check(
            "use std::fs; mod kube; fn f() { fs::read(); kube::run() }",
            &["std::fs", "fs::read local", "kube::run local"],
        );
    }
}
