//! Host names (istio `pkg/config/validation/agent/validation.go`: `ValidateFQDN`, `ValidateWildcardDomain`).

/// Longest name of the DNS (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;
/// Longest label.
const MAX_LABEL: usize = 63;

/// Why `host` is not a fully qualified name.
pub(crate) fn fqdn(host: &str) -> Result<(), String> {
    if host.is_empty() || host.len() > MAX_NAME {
        return Err(format!("a name has 1 to {MAX_NAME} characters, this one {}", host.len()));
    }
    let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    if let Some(wrong) = labels.iter().find(|name| !is_label(name)) {
        return Err(format!("{wrong:?} cannot be a part of the name {host:?}"));
    }
    if labels.last().is_some_and(|top| top.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(format!("{host:?} ends in a number, as only an address can"));
    }
    Ok(())
}

/// Why `host` is neither a fully qualified name nor one behind `*.`. Istio accepts `*wiki.org` with a warning; it matches
/// names of other owners, so it is refused here.
pub(crate) fn wildcard(host: &str) -> Result<(), String> {
    match host.strip_prefix('*') {
        None => fqdn(host),
        Some(rest) => match rest.strip_prefix('.') {
            Some(parent) => fqdn(parent),
            None => Err(format!("{host:?} also matches names of other owners; only `*.` may stand in front")),
        },
    }
}

/// Whether `name` is a DNS label (RFC 1123): letters, digits and hyphens, no hyphen at either end.
pub(crate) fn is_label(name: &str) -> bool {
    (1..=MAX_LABEL).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wildcards() {
        let long = format!("{}.com", "a".repeat(64));
        let longest = ["abcdefg"; 33].join(".");
        for (host, is_fqdn, is_wildcard) in [
            ("istio.io", true, true),
            ("istio.io.", true, true),
            ("localhost", true, true),
            ("API.Example.com", true, true),
            ("*.example.com", false, true),
            ("*", false, false),
            ("*example.com", false, false),
            ("*-eu.example.com", false, false),
            ("foo*", false, false),
            ("a.*.com", false, false),
            ("", false, false),
            (".", false, false),
            ("a..b", false, false),
            ("-a.com", false, false),
            ("a_b.com", false, false),
            ("1.2.3.4", false, false),
            ("::1", false, false),
            ("http://a.com", false, false),
            ("a.com:443", false, false),
            (&long, false, false),
            (&longest, false, false),
        ] {
            assert_eq!((fqdn(host).is_ok(), wildcard(host).is_ok()), (is_fqdn, is_wildcard), "{host}");
        }
    }
}
