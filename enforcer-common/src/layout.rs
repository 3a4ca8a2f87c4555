//! Sizes and alignments, checked when compiling; `aya::Pod` for the agent.

use core::mem::{align_of, size_of};

use crate::event::{EventBudget, FlowEvent};
use crate::flow::FlowKey;
use crate::judged::Judged;
use crate::kernel::KernelOffsets;
use crate::key::{BackendKey, CgroupId, ExactKey, OwnAddressKey, PortKey, PrefixKey};
use crate::socket::Translation;

/// The value of `PREFIXES`: the class under the tag of the network that matched, and that network's length.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixValue {
    /// A [`crate::word::Word`] tagged with [`crate::key::PrefixTag`].
    pub class: u64,
    /// Bits of 128.
    pub length: u64,
}

/// The value of `INTERFACES` and `NAMESPACES`: the two halves of the workload's cgroup id (0: nobody's), and what else is said of it, the bits
/// below.
pub type PlaceValue = [u64; 3];

/// Its mesh proxy has sockets in the workload's own network namespace (ambient; [`CgroupId::of_proxy`]).
pub const PLACE_HAS_PROXY: u32 = 1;

/// What comes in by this interface is judged there, or nobody wants it to be judged. Without it, it is judged where it leaves the node.
pub const PLACE_IS_JUDGED: u32 = 2;

/// The value of `BACKENDS`: four words of address and one of port (slot 0: the number of slots in the first).
pub type BackendValue = [u64; 5];

const _: () = {
    assert!(size_of::<CgroupId>() == 8);
    assert!(size_of::<ExactKey>() == 20 && align_of::<ExactKey>() == 4);
    assert!(size_of::<PrefixKey>() == 20 && align_of::<PrefixKey>() == 4);
    assert!(size_of::<PortKey>() == 8 && align_of::<PortKey>() == 4);
    assert!(size_of::<BackendKey>() == 8);
    assert!(size_of::<PrefixValue>() == 16);
    assert!(size_of::<FlowEvent>() == 112 && align_of::<FlowEvent>() == 8);
    assert!(size_of::<EventBudget>() == 40);
    assert!(size_of::<Translation>() == 44 && align_of::<Translation>() == 4);
    assert!(size_of::<Judged>() == 72 && align_of::<Judged>() == 8);
    assert!(size_of::<FlowKey>() == 24 && align_of::<FlowKey>() == 4);
    assert!(size_of::<OwnAddressKey>() == 24 && align_of::<OwnAddressKey>() == 8);
    assert!(size_of::<KernelOffsets>() == 28 && align_of::<KernelOffsets>() == 4);
};

/// SAFETY of all of these: `repr(C)` or `repr(transparent)` over integers, without padding (asserted above), any bit pattern valid.
#[cfg(feature = "user")]
mod pod {
    use super::{
        BackendKey, CgroupId, EventBudget, ExactKey, FlowKey, KernelOffsets, OwnAddressKey, PortKey,
        PrefixKey, PrefixValue,
    };
    use crate::id::RuleId;
    use crate::key::{InterfaceId, NetnsCookie};

    macro_rules! pod {
        ($($type:ty),*) => {
            $(
                // SAFETY: see the module.
                unsafe impl aya::Pod for $type {}
            )*
        };
    }

    pod!(CgroupId, ExactKey, PrefixKey, PortKey, RuleId, BackendKey, PrefixValue, EventBudget);
    pod!(FlowKey, InterfaceId, KernelOffsets, NetnsCookie, OwnAddressKey);
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use crate::ABI_VERSION;
    use crate::config::ConfigKey;
    use crate::event::{EventBudget, FlowEvent, Hook};
    use crate::flow::{FlowKey, FlowKind};
    use crate::judged::Judged;
    use crate::key::{CgroupId, PortKey, PrefixKey};
    use crate::layout::PlaceValue;
    use crate::limits;
    use crate::names::{CGROUP_PROGRAMS, INTERFACE_PROGRAMS, map};
    use crate::reason::Reason;
    use crate::socket::Translation;
    use crate::verdict::{Action, RuleAction};
    use crate::word::{Tagged as _, Word};

    /// Everything that a pinned map or a running program of another build would have to agree with. When this fails,
    /// raise `ABI_VERSION` and write the new text.
    #[test]
    fn what_is_pinned_means_the_same_to_every_build_of_an_abi() {
        let key = PortKey::in_class(
            crate::id::ClassId::new(1),
            crate::addr::Protocol::TCP,
            crate::addr::Port::new(443),
        );
        let fingerprint = format!(
            "v{ABI_VERSION} maps {:?} programs {:?} config {} hook {} flows {} reasons {} actions {} {} scope {} tags {:x} {:x} sizes {:?}",
            map::ALL,
            CGROUP_PROGRAMS
                .iter()
                .map(|program| program.name)
                .chain(INTERFACE_PROGRAMS.iter().map(|program| program.name))
                .collect::<std::vec::Vec<_>>(),
            ConfigKey::EndpointGrace as u32,
            Hook::Uplink as u8,
            FlowKind::Unseen as u8,
            Reason::COUNT,
            Action::Translate as u8,
            RuleAction::NeedsName as u8,
            PrefixKey::SCOPE_BITS,
            Word::new(&CgroupId::new(42), 7).raw(),
            key.tag(),
            [
                size_of::<FlowEvent>(),
                size_of::<EventBudget>(),
                size_of::<Translation>(),
                size_of::<Judged>(),
                size_of::<FlowKey>(),
                size_of::<PlaceValue>(),
            ],
        );
        let expected = include_str!("abi.txt").trim_end();
        assert_eq!(fingerprint, expected);
    }

    /// The memory of full maps, by the bytes that `limits` states for each entry.
    #[test]
    fn full_maps_fit_the_stated_memory() {
        let bytes = [
            (limits::WORKLOADS, 64),
            (limits::EXACT, 80),
            (limits::PREFIXES, 160),
            (limits::CLASS_RULES, 64),
            (limits::ANY_RULES, 64),
            (limits::BACKENDS, 96),
            (limits::RULES, 64),
            (limits::ADDRESSES, 80),
            (2 * limits::INTERFACES, 80),
        ];
        let total: u64 = bytes.iter().map(|(entries, bytes)| u64::from(*entries) * bytes).sum();
        assert!(total <= 200 << 20, "{} MiB", total >> 20);
    }
}
