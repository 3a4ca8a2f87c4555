//! The tree of a file, held against the definitions of the flags: which keys there are, and which have the form that
//! their flag takes.

use crate::config::fault::{Fault, Place, Wrong, nearest, wrong};
use crate::config::file::yaml::{Key, Node, Value};
use crate::config::file::{Entry, Field, Item, Part};
use crate::config::settings::{Form, Setting};

/// The entries that can be used, and what is wrong with the rest.
pub(super) fn check(file: &str, root: Option<Node>, settings: &[Setting]) -> (Vec<Entry>, Vec<Fault>) {
    let mut reader = Reader { file, flag: String::new(), faults: Vec::new() };
    let entries = match root {
        None | Some(Node { value: Value::Null, .. }) => Vec::new(),
        Some(Node { value: Value::Map(pairs), .. }) => reader.entries(pairs, settings),
        Some(Node { line, value }) => {
            let what = format!("{}, where keys should stand", value.kind());
            reader.fault(line, "", "", wrong(what, "write `key: value` lines"));
            Vec::new()
        }
    };
    (entries, reader.faults)
}

/// Fields of a workload that may be lists.
const LISTS: [&str; 2] = ["interface", "address"];

struct Reader<'a> {
    file: &'a str,
    /// The flag of the key that is looked at.
    flag: String,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, line: usize, key: &str, value: &str, (what, hint): Wrong) {
        let place = Place::File { file: self.file.to_owned(), line, key: key.to_owned() };
        let (flag, value) = (self.flag.clone(), value.to_owned());
        self.faults.push(Fault { flag, place, value, what, hint });
    }

    /// Each key once: the first.
    fn once(&mut self, above: &str, pairs: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        let mut kept: Vec<(Key, Node)> = Vec::new();
        for (key, node) in pairs {
            match kept.iter().find(|(first, _)| first.text == key.text) {
                Some((first, _)) => {
                    let what = format!("the key is there twice, first on line {}", first.line);
                    self.fault(key.line, &below(above, &key.text), "", wrong(what, "keep one"));
                }
                None => kept.push((key, node)),
            }
        }
        kept
    }

    fn entries(&mut self, pairs: Vec<(Key, Node)>, settings: &[Setting]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (key, node) in self.once("", pairs) {
            let Some(setting) = settings.iter().find(|setting| setting.key == key.text) else {
                self.unknown(&key, settings);
                continue;
            };
            self.flag = format!("--{}", setting.key);
            let items = match setting.form {
                Form::One => self.text(&setting.key, node, "write one value").map(|item| vec![item]),
                Form::List => self.list(&setting.key, node, Self::item),
                Form::Workloads => self.list(&setting.key, node, Self::workload),
                Form::Numbers => self.numbers(&setting.key, node),
            };
            self.flag.clear();
            let entry = |items| Entry { key: setting.key.clone(), line: key.line, items };
            entries.extend(items.map(entry));
        }
        entries
    }

    fn unknown(&mut self, key: &Key, settings: &[Setting]) {
        let near = nearest(&key.text, settings.iter().map(|setting| &*setting.key));
        // What was meant counts as given, so that nobody is told that it is missing.
        self.flag = near.map(|near| format!("--{near}")).unwrap_or_default();
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`enforcer run --help` lists the flags, which are the keys, too".to_owned(),
        };
        self.fault(key.line, &key.text, "", wrong("no such key", hint));
        self.flag.clear();
    }

    /// A single value.
    fn text(&mut self, name: &str, node: Node, hint: &str) -> Option<Item> {
        match node.value {
            Value::Text(text) => {
                Some(Item { name: name.to_owned(), line: node.line, text, fields: Vec::new() })
            }
            value => {
                let hint = if matches!(value, Value::Null) { "give one, or take the key out" } else { hint };
                self.fault(node.line, name, "", wrong(value.kind(), hint));
                None
            }
        }
    }

    fn list(
        &mut self,
        key: &str,
        node: Node,
        item: impl Fn(&mut Self, &str, Node) -> Option<Item>,
    ) -> Option<Vec<Item>> {
        match node.value {
            Value::List(nodes) => {
                let nodes = nodes.into_iter().enumerate();
                Some(nodes.filter_map(|(at, node)| item(self, &format!("{key}[{at}]"), node)).collect())
            }
            value => {
                let hint = format!("write a list: `{key}: [...]`, or a line `- ...` for each value");
                self.fault(node.line, key, "", wrong(value.kind(), hint));
                None
            }
        }
    }

    fn item(&mut self, name: &str, node: Node) -> Option<Item> {
        let item = self.text(name, node, "write one value")?;
        if item.text.trim().is_empty() {
            self.fault(item.line, name, "", wrong("the value is empty", "give one, or take the line out"));
            return None;
        }
        Some(item)
    }

    fn workload(&mut self, name: &str, node: Node) -> Option<Item> {
        let line = node.line;
        let Value::Map(pairs) = node.value else { return self.item(name, node) };
        let mut fields = Vec::new();
        for (key, node) in self.once(name, pairs) {
            let path = below(name, &key.text);
            match node.value {
                Value::Map(labels) if key.text == "labels" => {
                    for (label, node) in self.once(&path, labels) {
                        let field = self.field(&below(&path, &label.text), label.text, node);
                        fields.push(Field { part: Part::Label, ..field });
                    }
                }
                Value::List(nodes) if LISTS.contains(&&*key.text) => {
                    fields.extend(self.elements(&path, &key.text, node.line, nodes));
                }
                _ => fields.push(self.field(&path, key.text, node)),
            }
        }
        if fields.is_empty() {
            self.fault(line, name, "", wrong("the value is empty", "give its fields, or take it out"));
            return None;
        }
        let value =
            |field: &Field| format!("{}={}", field.name(), field.value.as_deref().unwrap_or_default());
        let text = fields.iter().map(value).collect::<Vec<_>>().join(",");
        Some(Item { name: name.to_owned(), line, text, fields })
    }

    /// The elements of a list below a workload. None is no way to say that nothing is known.
    fn elements(&mut self, path: &str, key: &str, line: usize, nodes: Vec<Node>) -> Vec<Field> {
        if nodes.is_empty() {
            self.fault(line, path, "", wrong("the list is empty", "give it values, or leave it out"));
            return vec![Field { key: key.to_owned(), part: Part::Whole, value: None, line }];
        }
        let element = |(at, node): (usize, Node)| {
            let field = self.field(&format!("{path}[{at}]"), key.to_owned(), node);
            Field { part: Part::Element(at), ..field }
        };
        nodes.into_iter().enumerate().map(element).collect()
    }

    /// A field without a value that can be used stays, so that nobody is told that it is missing.
    fn field(&mut self, path: &str, key: String, node: Node) -> Field {
        let line = node.line;
        let value = self.text(path, node, "write one value").map(|item| item.text);
        Field { key, part: Part::Whole, value, line }
    }

    /// `EXACT: 1000000`, or a list of `EXACT=1000000`.
    fn numbers(&mut self, key: &str, node: Node) -> Option<Vec<Item>> {
        let Value::Map(pairs) = node.value else { return self.list(key, node, Self::item) };
        let items = self.once(key, pairs).into_iter().filter_map(|(name, node)| {
            let item = self.text(&below(key, &name.text), node, "write a number")?;
            Some(Item { text: format!("{}={}", name.text, item.text), ..item })
        });
        Some(items.collect())
    }
}

fn below(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}
