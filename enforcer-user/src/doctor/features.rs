//! What the kernel can do, as it was tried, and what becomes of us where it cannot.

use crate::dataplane::probe::feature::Feature;
use crate::doctor::{Area, Check};

const AREA: Area = Area("features");

pub(super) fn checks(features: &[Feature]) -> Vec<Check> {
    // Nobody wants to read twenty times that one has to be root.
    let unseen = features.iter().filter_map(|feature| feature.supported.as_ref().err());
    let mut unseen: Vec<&String> = unseen.collect();
    if unseen.len() == features.len() {
        unseen.dedup();
        let why: Vec<&str> = unseen.into_iter().map(String::as_str).collect();
        return vec![AREA.not_looked_at("all", why.join("; "), ROOT)];
    }
    features.iter().map(check).collect()
}

const ROOT: &str =
    "run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: programs are loaded to try, and dropped";

fn check(feature: &Feature) -> Check {
    let Feature { name, since, fallback, supported } = feature;
    match (supported, fallback) {
        (Ok(true), _) => AREA.ok(*name, "there"),
        (Ok(false), None) => AREA.fail(
            *name,
            "missing",
            format!("nothing can be enforced without; kernels have it since {since}, unless built without"),
        ),
        (Ok(false), Some(fallback)) => {
            AREA.warn(*name, "missing", format!("instead: {fallback}; kernels have it since {since}"))
        }
        (Err(why), _) => AREA.not_looked_at(*name, why, ROOT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Fail, Ok as Fine, Warn};
    use crate::doctor::told;

    #[test]
    fn what_is_missing_names_its_fallback_or_fails() {
        let feature = |name, fallback, supported| Feature { name, since: "5.18", fallback, supported };
        let mut features = vec![
            feature("links", None, Ok(true)),
            feature("ring", None, Ok(false)),
            feature("errno", Some("EPERM only"), Ok(false)),
            feature("odd", None, Err("not permitted".to_owned())),
        ];
        let found = checks(&features);
        let results: Vec<_> = told(&found).into_iter().map(|(_, result)| result).collect();
        assert_eq!(results, [Fine, Fail, Warn, Warn]);
        assert_eq!(found[2].advice.as_deref(), Some("instead: EPERM only; kernels have it since 5.18"));
        for feature in &mut features {
            feature.supported = Err("not permitted".to_owned());
        }
        let found = checks(&features);
        assert_eq!(told(&found), [("all".to_owned(), Warn)]);
        assert_eq!(found[0].found, "not looked at: not permitted");
    }
}
