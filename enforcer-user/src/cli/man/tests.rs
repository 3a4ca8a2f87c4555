//! Manual pages: one for every command, with the sections that people look for.

use super::*;

#[test]
fn every_command_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let root = command();
    for command in reference::all(&root) {
        let (name, text) = page(command).unwrap();
        fs::write(dir.path().join(&name), &text).unwrap();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT"] {
            assert!(
                text.contains(&format!(".SH \"{section}\"")) || text.contains(&format!(".SH {section}\n")),
                "{name}: {section}"
            );
        }
    }
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(
        names.contains(&"enforcer.1".to_owned()) && names.contains(&"enforcer-registry-get.1".to_owned())
    );
    assert!(!names.iter().any(|name| name.contains("help") || name.contains("docs")), "{names:?}");
}

#[test]
fn the_page_of_the_agent_names_its_variables_and_files() {
    let root = command();
    let (_, text) = page(root.find_subcommand("run").unwrap()).unwrap();
    let text = text.replace("\\-", "-");
    for word in ["ENFORCER_CONFIG", "ENFORCER_LOG", "/sys/fs/bpf/enforcer", "/run/enforcer/admin.sock"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}
