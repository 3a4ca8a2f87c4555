//! `exportTo` (istio `validateExportTo`).

use std::collections::BTreeSet;

use crate::name::Namespace;
use crate::registry::report::Report;
use crate::registry::validate::host::is_label;

/// Checks `export_to`, found at `field` of an object in `own`. 1. `*` and `~` stand alone; 2. each entry is `.`, `*`, `~` or a
/// namespace; 3. no namespace twice, and `.` is `own`.
pub(crate) fn check(export_to: &[String], own: &Namespace, field: &str, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, to) in export_to.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let meant = if to == "." { own.as_str() } else { to };
        if !seen.insert(meant) {
            report.error(
                field,
                format!("{to:?} is named twice"),
                "keep one of them (`.` is the object's own namespace)",
            );
        } else if (to == "*" || to == "~") && export_to.len() > 1 {
            let hint = "leave out the others: `*` is every namespace, `~` is none";
            report.error(field, format!("{to:?} cannot be combined"), hint);
        } else if !matches!(to.as_str(), "." | "*" | "~") && !is_label(to) {
            report.error(
                field,
                format!("{to:?} is not a namespace"),
                "write `.`, `*`, `~` or the name of a namespace",
            );
        }
    }
}
