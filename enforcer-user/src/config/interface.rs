//! Which interfaces of the node are looked at.

use std::fmt;

/// `--interface`: the host-side interfaces of workloads that get TC. Neither `auto` nor a pattern is `none`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interfaces {
    /// The host-side peer of each enforced workload.
    pub auto: bool,
    /// Those with such a name, too: one that belongs to no known workload is an unknown workload's.
    pub patterns: Vec<InterfacePattern>,
}

impl Interfaces {
    /// Whether nobody wants any.
    pub fn is_none(&self) -> bool {
        !self.auto && self.patterns.is_empty()
    }
}

/// A pattern over the names of interfaces: `*` is any characters or none, `?` is one. Case matters, as it does for the
/// kernel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct InterfacePattern(String);

impl InterfacePattern {
    /// From its text. Whether it is one that may be asked for is [`crate::config::resolve`]'s to say.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for the interface of this name.
    pub fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Tries every length for each `*`: both are as short as names of interfaces.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'*', rest @ ..], []) => matches(rest, name),
        ([b'*', rest @ ..], [_, shorter @ ..]) => matches(rest, name) || matches(pattern, shorter),
        ([b'?', rest @ ..], [_, name @ ..]) => matches(rest, name),
        ([byte, rest @ ..], [first, name @ ..]) => byte == first && matches(rest, name),
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_the_names_of_its_shape() {
        for (pattern, yes, no) in [
            ("eth0", &["eth0"][..], &["eth", "eth00", "veth0", "ETH0", ""][..]),
            ("veth*", &["veth", "veth0", "veth1a2b3c4d"], &["eth0", "vet", "xveth0"]),
            ("*-pod", &["-pod", "a-pod", "a-pod-pod"], &["pod", "a-pod0", "a-po"]),
            ("eth?", &["eth0", "eth1", "eth*"], &["eth", "eth10"]),
            ("ens?f*", &["ens1f0", "ens1f", "ensff"], &["ens1", "ensf"]),
            ("*a*b*", &["ab", "xaxbx", "aab", "bab"], &["ba", "a", "b"]),
            ("a**b", &["ab", "axb"], &["a", "b"]),
            ("a*?", &["ab", "abc"], &["a"]),
            ("a.0", &["a.0"], &["ax0"]),
            ("*a*a*a*a*a*a*a", &["aaaaaaaaaaaaaaa"], &["aaaaaaaaaaaaaab", "aaaaaa"]),
        ] {
            let pattern = InterfacePattern::new(pattern);
            for name in yes {
                assert!(pattern.matches(name), "{pattern} is not {name}");
            }
            for name in no {
                assert!(!pattern.matches(name), "{pattern} is {name}");
            }
        }
    }
}
