//! From verdict to return code: one exhaustive match. Audit differs from enforce here and nowhere else.

use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::{Action, Verdict};

use crate::ctx::{Family, SockAddr};

/// The system call goes on.
pub const PASS: i32 = 1;
/// The system call fails with EPERM.
const FAIL: i32 = 0;

/// Does what was decided.
#[inline(always)]
pub fn act<F: Family>(sock: &SockAddr<F>, verdict: &Verdict, enforcement: Enforcement) -> i32 {
    match (verdict.action, enforcement) {
        (Action::Allow, _) | (Action::Deny, Enforcement::Audit | Enforcement::Off) => PASS,
        (Action::Deny, Enforcement::Enforce) => FAIL,
        (Action::Translate, _) => {
            sock.rewrite(verdict.backend);
            PASS
        }
    }
}
