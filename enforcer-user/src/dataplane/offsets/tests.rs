//! A kernel that is made up, and the one that runs.

use std::collections::BTreeSet;

use super::btf::Types;
use super::{find, of_this_kernel, own_network};

/// A kernel of a few structures, as its build writes them, with all that is asked for but `skip`.
fn kernel_without(skip: Option<&str>) -> Vec<u8> {
    let mut kernel = Kernel { types: Vec::new(), strings: vec![0], skip: skip.map(str::to_owned) };
    kernel.integer(); // 1
    kernel.pointer(5); // 2
    kernel.pointer(7); // 3
    kernel.group(5, "", &[("csum_start", 1, 128), ("csum_offset", 1, 144)]); // 4: a union
    kernel.group(4, "net_device", &[("nd_net", 6, 64)]); // 5
    kernel.group(4, "", &[("net", 3, 0)]); // 6
    kernel.group(4, "net", &[("ns", 8, 320)]); // 7
    kernel.group(4, "ns_common", &[("inum", 1, 96)]); // 8
    let members = [("dev", 2, 128), ("", 4, 1024), ("ip_summed", 1, (2 << 24) + 1029)];
    kernel.group(4, "sk_buff", &[members.as_slice(), &[("head", 2, 1600), ("data", 2, 1664)]].concat());
    kernel.finish()
}

struct Kernel {
    types: Vec<u32>,
    strings: Vec<u8>,
    skip: Option<String>,
}

impl Kernel {
    fn integer(&mut self) {
        self.types.extend([0, 1 << 24, 4, 32]);
    }

    fn pointer(&mut self, to: u32) {
        self.types.extend([0, 2 << 24, to]);
    }

    fn group(&mut self, kind: u32, name: &str, members: &[(&str, u32, u32)]) {
        let kept: Vec<_> = members.iter().filter(|(name, ..)| self.skip.as_deref() != Some(name)).collect();
        let name = self.string(name);
        self.types.extend([name, (1 << 31) | (kind << 24) | u32::try_from(kept.len()).unwrap(), 256]);
        for (name, kind, at) in kept {
            let name = self.string(name);
            self.types.extend([name, *kind, *at]);
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    fn finish(self) -> Vec<u8> {
        let types: Vec<u8> = self.types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let (types_length, strings_length) = (types.len(), self.strings.len());
        let lengths = [24, 0, types_length, types_length, strings_length];
        let mut btf: Vec<u8> = 0xeb9f_u16.to_ne_bytes().into_iter().chain([1, 0]).collect();
        btf.extend(lengths.iter().flat_map(|length| u32::try_from(*length).unwrap().to_ne_bytes()));
        btf.extend(types.into_iter().chain(self.strings));
        btf
    }
}

#[test]
fn members_are_found_through_those_without_a_name_and_behind_pointers() {
    let btf = kernel_without(None);
    let found = find(&Types::parse(&btf).unwrap()).unwrap();
    assert_eq!((found.skb_dev, found.skb_head, found.skb_csum_start), (16, 200, 144));
    assert_eq!((found.skb_ip_summed, found.skb_ip_summed_shift), (128, 5));
    assert_eq!((found.device_net, found.net_inum), (8, 52));
}

#[test]
fn a_kernel_without_a_member_is_refused_by_its_name() {
    for missing in ["head", "data", "dev", "csum_start", "csum_offset", "ip_summed", "nd_net", "net", "inum"]
    {
        let btf = kernel_without(Some(missing));
        let error = find(&Types::parse(&btf).unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains(missing), "{missing}: {error:#}");
    }
}

#[test]
fn btf_that_is_cut_off_is_refused() {
    let btf = kernel_without(None);
    for length in 0..btf.len() {
        assert!(Types::parse(&btf[..length]).is_err(), "{length} of {} bytes", btf.len());
    }
}

#[test]
fn this_kernel_has_them() {
    let found = of_this_kernel().unwrap();
    let all = [found.skb_head, found.skb_dev, found.skb_csum_start, found.skb_ip_summed];
    let of_skb: BTreeSet<u32> = all.into_iter().collect();
    assert!(of_skb.len() == all.len() && found.net_inum != 0 && own_network().unwrap() != 0, "{found:?}");
}
