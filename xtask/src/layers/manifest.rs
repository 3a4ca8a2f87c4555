//! The dependencies that a crate's Cargo.toml names, against the table of what its layer may use.

use super::Violation;
use super::rules::{CRATE_RULES, CrateRule};
use crate::tree::SourceFile;

/// One dependency as written.
#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    line: usize,
    name: String,
    optional: bool,
}

/// What in a Cargo.toml its crate may not depend on.
pub(super) fn check(file: &SourceFile) -> Vec<Violation> {
    let Some(rule) = CRATE_RULES.iter().find(|rule| file.path == format!("{}/Cargo.toml", rule.dir)) else {
        return Vec::new();
    };
    let fault = |line, rule: String, why| Violation { path: file.path.clone(), line, rule, why };
    let mut found = Vec::new();
    for dependency in dependencies(&file.text) {
        let name = &dependency.name;
        if !allowed(rule, name) {
            found.push(fault(dependency.line, format!("{} may not depend on `{name}`", rule.dir), rule.why));
        } else if rule.optional.contains(&name.as_str()) && !dependency.optional {
            found.push(fault(
                dependency.line,
                format!("`{name}` must be optional in {}", rule.dir),
                rule.why,
            ));
        }
    }
    found
}

fn allowed(rule: &CrateRule, name: &str) -> bool {
    let named = |list: &[&str]| {
        list.iter()
            .any(|entry| entry.strip_suffix('*').map_or(*entry == name, |start| name.starts_with(start)))
    };
    let ours = name == "xtask" || name.starts_with("enforcer-");
    if ours { named(rule.ours) } else { rule.others.is_none_or(named) && !named(rule.never) }
}

/// The dependencies in every `[dependencies]`-like table. Development dependencies of other people's crates do not
/// end up in what we ship and are left out.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut section = String::new();
    for (number, line) in manifest.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut section);
            if let Some((table, name)) = section.rsplit_once('.').filter(|(table, _)| is_dependencies(table))
            {
                found.push(Dependency { line: number + 1, name: name.to_owned(), optional: false });
                drop_foreign_dev(table, &mut found);
            }
        } else if let Some((key, value)) = line.split_once('=') {
            if is_dependencies(&section) {
                found.push(inline(number + 1, key, value));
                drop_foreign_dev(&section, &mut found);
            } else if section.contains("dependencies.") && key.trim() == "optional" && value.contains("true")
            {
                found.last_mut().into_iter().for_each(|dependency| dependency.optional = true);
            }
        }
    }
    found
}

fn is_dependencies(table: &str) -> bool {
    table == "dependencies" || table.ends_with("-dependencies") || table.ends_with(".dependencies")
}

fn drop_foreign_dev(table: &str, found: &mut Vec<Dependency>) {
    let ours =
        |dependency: &Dependency| dependency.name == "xtask" || dependency.name.starts_with("enforcer-");
    if table.ends_with("dev-dependencies") && !found.last().is_some_and(ours) {
        found.pop();
    }
}

/// `name = "1"`, `name.workspace = true`, `name = { package = "real-name", optional = true }`.
fn inline(line: usize, key: &str, value: &str) -> Dependency {
    let key = key.trim().split('.').next().unwrap_or("").trim_matches('"');
    let package = value.split("package").nth(1).and_then(|rest| rest.split('"').nth(1));
    let optional = value
        .split("optional")
        .nth(1)
        .is_some_and(|rest| rest.trim_start_matches([' ', '=']).starts_with("true"));
    Dependency { line, name: package.unwrap_or(key).to_owned(), optional }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_dependency_is_read() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { package = \"c\", \
                        optional = true }\n\
                        [target.'cfg(unix)'.dependencies]\nd = \"1\"\n[dependencies.e]\noptional = true\n\
                        [dev-dependencies]\nproptest = \"1\"\nenforcer-user = {}\n";
        let found: Vec<_> =
            dependencies(manifest).into_iter().map(|d| (d.line, d.name, d.optional)).collect();
        let expected =
            [(4, "a", false), (5, "c", true), (7, "d", false), (8, "e", true), (12, "enforcer-user", false)];
        assert_eq!(found, expected.map(|(line, name, optional)| (line, name.to_owned(), optional)));
    }
}
