//! From verdict to return code: one exhaustive match. Audit differs from enforce here and nowhere else.

use enforcer_common::event::Hook;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::{Action, Verdict};

use crate::ctx::{Family, SockAddr};
use crate::socket;

/// The system call goes on.
pub const PASS: i32 = 1;
/// The system call fails with EPERM.
const FAIL: i32 = 0;

/// Lets it go on as it is.
#[inline(always)]
pub fn pass<F: Family>(sock: &SockAddr<F>, hook: Hook) -> i32 {
    socket::forget(sock, hook);
    PASS
}

/// Does what was decided about a socket that has no destination yet.
#[inline(always)]
pub const fn act_new(verdict: &Verdict, enforcement: Enforcement) -> i32 {
    match (verdict.action, enforcement) {
        (Action::Allow | Action::Translate, _) | (Action::Deny, Enforcement::Audit | Enforcement::Off) => {
            PASS
        }
        (Action::Deny, Enforcement::Enforce) => FAIL,
    }
}

/// Does what was decided.
#[inline(always)]
pub fn act<F: Family>(sock: &SockAddr<F>, hook: Hook, verdict: &Verdict, enforcement: Enforcement) -> i32 {
    match (verdict.action, enforcement) {
        (Action::Allow, _) | (Action::Deny, Enforcement::Audit | Enforcement::Off) => pass(sock, hook),
        (Action::Deny, Enforcement::Enforce) => FAIL,
        (Action::Translate, _) => {
            sock.rewrite(verdict.backend);
            PASS
        }
    }
}
