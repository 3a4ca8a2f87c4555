//! Suggestions as they are printed.

use enforcer_core::registry::parse;
use enforcer_core::suggest::Entry;

use super::*;

fn entry(name: &str) -> Entry {
    Entry {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        hosts: vec![format!("{name}.example.com")],
        addresses: Vec::new(),
        ports: Vec::new(),
        yaml: format!(
            "# Seen once\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{hosts: [{name}.example.com], ports: [{{number: 80, name: tcp-80, protocol: TCP}}]}}\n"
        ),
        count: 2,
    }
}

#[test]
fn nothing_is_a_comment() {
    assert_eq!(
        documents(&Suggestions::default()),
        "# Nothing to suggest: no flow that was seen is denied.\n"
    );
}

#[test]
fn documents_stand_below_what_else_there_is_to_say() {
    let suggestions = Suggestions {
        entries: vec![entry("a"), entry("b")],
        notes: vec![
            "192.0.2.1:443/tcp (3 flows of processes without identity): these processes have no identity"
                .to_owned(),
            "short".to_owned(),
        ],
        not_kept: 2,
    };
    let text = documents(&suggestions);
    assert!(
        text.starts_with(
            "\
# 2 ServiceEntries for 4 flows that were denied or would be: review before you
# apply.
# The destinations of 2 flows more were not kept: ask again later.
#
# * 192.0.2.1:443/tcp (3 flows of processes without identity): these processes
#   have no identity
#
# * short
---
# Seen once
"
        ),
        "{text}"
    );
    // As a whole it is what kubectl takes.
    let parsed = parse("file:suggested.yaml", &text).unwrap();
    assert_eq!((parsed.objects.len(), parsed.problems.len()), (2, 0), "{:?}", parsed.problems);
}

#[test]
fn one_is_said_as_one() {
    let suggestions =
        Suggestions { entries: vec![Entry { count: 1, ..entry("a") }], notes: Vec::new(), not_kept: 1 };
    let text = documents(&suggestions);
    assert!(
        text.starts_with(
            "\
# 1 ServiceEntry for 1 flow that was denied or would be: review before you
# apply.
# The destination of 1 flow more was not kept: ask again later.
---
"
        ),
        "{text}"
    );
}

#[test]
fn notes_alone_are_no_document() {
    let suggestions = Suggestions { notes: vec!["two\nlines".to_owned()], ..Suggestions::default() };
    let text = documents(&suggestions);
    assert_eq!(text, "# No ServiceEntry to suggest.\n#\n# * two\n#   lines\n");
    assert!(parse("file:suggested.yaml", &text).unwrap().objects.is_empty());
}
