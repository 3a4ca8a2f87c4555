//! A flag with a few known words: help and completions list them, and any text is taken, since the resolver reports
//! a wrong one together with all other faults.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};

/// The known words.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Words(pub(in crate::cli) &'static [&'static str]);

/// A flag that is on or off: `--flag`, or `--flag=false` against a file that turns it on.
pub(super) const SWITCH: Words = Words(&["true", "false"]);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}
