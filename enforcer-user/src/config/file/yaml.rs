//! YAML as a tree that knows its lines. Values stay the text that they are: what `off` or `1_000` means is for the
//! flag of that name to say, and not for YAML.

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use crate::config::fault::{Wrong, wrong};

/// A value, and the line on which it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// `*name`, which is not followed.
    Alias,
    /// Something with a tag that is not YAML's own.
    Tagged(String),
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Null => "no value".to_owned(),
            Self::Text(_) => "a single value".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
            Self::Alias => "an alias, which is not followed".to_owned(),
            Self::Tagged(tag) => format!("a value with the tag {tag}, which is not understood"),
        }
    }
}

/// The one document of `text`; `None` when there is nothing in it.
pub(super) fn parse(text: &str) -> Result<Option<Node>, (usize, Wrong)> {
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = Reader { events: Parser::new_from_str_with_options(text, options) };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(root),
            (Event::DocumentStart(..), span) if root.is_some() => {
                return Err((line(&span), wrong("a second document begins", "keep one")));
            }
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (event, span) => root = Some(reader.node(event, &span)?),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), (usize, Wrong)> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let what = format!("not YAML: {} (column {})", error.info(), error.marker().col() + 1);
                Err((error.marker().line(), wrong(what, "correct the line, or the one before it")))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that begins with `event`. The parser bounds how deep values nest.
    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, (usize, Wrong)> {
        let own = |tag: &granit_parser::Tag| !tag.is_yaml_core_schema() && tag.original() != "!";
        let tag = event.tag().filter(|tag| own(tag)).map(granit_parser::Tag::original);
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Value::Null
            }
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => Value::List(self.list()?),
            Event::MappingStart(..) => Value::Map(self.map()?),
            _ => Value::Alias,
        };
        Ok(Node { line: line(span), value: tag.map_or(value, Value::Tagged) })
    }

    fn list(&mut self) -> Result<Vec<Node>, (usize, Wrong)> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(nodes),
                (event, span) => nodes.push(self.node(event, &span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<(Key, Node)>, (usize, Wrong)> {
        let mut pairs = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd | Event::StreamEnd, _) => return Ok(pairs),
                (Event::Scalar(text, ..), span) => Key { line: line(&span), text: text.into_owned() },
                (_, span) => {
                    return Err((line(&span), wrong("a key that is not a name", "write `key: value`")));
                }
            };
            let (event, span) = self.next()?;
            pairs.push((key, self.node(event, &span)?));
        }
    }
}

fn line(span: &Span) -> usize {
    span.start.line()
}
