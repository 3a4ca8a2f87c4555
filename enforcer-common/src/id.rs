//! Numbers that stand for compiled things. Never reused within the life of a set of maps.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// From its number.
            #[inline(always)]
            pub const fn new(id: u32) -> Self {
                Self(id)
            }

            /// Its number.
            #[inline(always)]
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// What the workloads of one (namespace, selected Sidecar) may see. At most [`ViewId::MAX`].
    ViewId,
    "v"
);
id!(
    /// An immutable, interned set of port rules.
    ClassId,
    "c"
);
id!(
    /// One line of one registry object that allows something. At most [`RuleId::MAX`].
    RuleId,
    "r"
);
impl ViewId {
    /// What `--allow` names: looked at before every other view.
    pub const EXEMPT: Self = Self(0);
    /// What every namespace may see: looked at after the view of views that inherit it.
    pub const PUBLIC: Self = Self(1);
    /// The first number for a namespace's own view.
    pub const FIRST: Self = Self(2);
    /// The workload word has 24 bits for it.
    pub const MAX: u32 = (1 << 24) - 1;
}

impl RuleId {
    /// No rule.
    pub const NONE: Self = Self(0);
    /// The rule word has 29 bits for it.
    pub const MAX: u32 = (1 << 29) - 1;
}
