//! On cgroups and an interface of the test's own, with the real programs, over a bpffs of its own.

mod flows;

use std::cell::RefCell;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use enforcer_common::names::map;

use super::*;
use crate::dataplane::interface::Mechanism;
use crate::dataplane::misplaced::Trouble;
use crate::dataplane::stage::{SMALL, on_bpffs};
use crate::dataplane::{Placed, sys};
use crate::links::stage::{Pod, ip};

/// The host's side of the test's pair.
const INDEX: u32 = 70;
/// `BPF_TCX_INGRESS`
const TCX_INGRESS: u32 = 46;

/// Runs a story in fresh network and mount namespaces, with a directory to pin to and two pods' cgroups.
fn on_stage(story: impl FnOnce(&Path, [(CgroupId, PathBuf); 2]) + Send) {
    on_bpffs(|directory| {
        ip(&format!("link add host index {INDEX} type veth peer name pod index 71"));
        let pods = [Pod::start_here(), Pod::start_here()];
        let cgroups = pods.each_ref().map(|pod| {
            let id = CgroupId::new(fs::metadata(&pod.cgroup).unwrap().ino());
            (id, pod.cgroup.clone())
        });
        story(directory, cgroups);
    });
}

fn load(pin_dir: &Path) -> Kernel {
    Kernel::load(pin_dir, &SMALL, Options::default()).unwrap()
}

/// The test's interface, of this workload.
fn layout(workload: CgroupId) -> Layout {
    let placed = Placed { name: "host".to_owned(), workload: Some(workload), ambient: false };
    Layout { interfaces: BTreeMap::from([(INDEX, placed)]), ..Layout::default() }
}

/// The programs that judge what comes in by the test's interface.
fn judges() -> Vec<u32> {
    let attached = sys::attached_to_interface(INDEX, TCX_INGRESS).unwrap();
    attached.into_iter().map(|attached| attached.program).collect()
}

#[test]
fn a_cgroup_that_cannot_be_attached_does_not_look_like_a_detach() {
    on_stage(|pin_dir, [curl, job]| {
        let mut kernel = load(pin_dir);
        kernel.attach(&[curl.clone(), job.clone()], &|_| Vec::new()).unwrap();
        let missing = (CgroupId::new(1), PathBuf::from("/sys/fs/cgroup/there-is-no-such-cgroup"));
        kernel.attach(&[job.clone(), missing], &|_| Vec::new()).unwrap_err();
        assert_eq!((kernel.is_intact(), kernel.attached()), (true, &[job.clone()][..]));
        kernel.attach(&[curl.clone(), job.clone()], &|_| Vec::new()).unwrap();
        assert_eq!(kernel.attached(), [curl, job]);
    });
}

#[test]
fn a_first_start_that_cannot_attach_leaves_nothing() {
    on_stage(|pin_dir, [curl, _]| {
        let mut kernel = load(pin_dir);
        let missing = (CgroupId::new(1), PathBuf::from("/sys/fs/cgroup/there-is-no-such-cgroup"));
        kernel.attach(&[curl, missing], &|_| Vec::new()).unwrap_err();
        drop(kernel);
        assert!(!Pins::new(pin_dir).abi().exists());
    });
}

#[test]
fn an_interface_keeps_the_older_version_until_it_has_the_new_one() {
    on_stage(|pin_dir, [curl, _]| {
        let (cgroups, layout) = ([curl.clone()], layout(curl.0));
        let mut old = load(pin_dir);
        old.attach(&cgroups, &|_| Vec::new()).unwrap();
        assert!(old.place(&layout, &|_| Vec::new()).unwrap().is_empty());
        let theirs = judges();
        drop(old);
        let abi = pin_dir.join("v1");
        fs::rename(Pins::new(pin_dir).abi(), &abi).unwrap();

        let mut new = load(pin_dir);
        new.attach(&cgroups, &|_| Vec::new()).unwrap();
        assert_eq!((judges(), abi.exists()), (theirs.clone(), true));
        // Something of theirs cannot be taken off: tried again the next time.
        let stuck = abi.join("maps/stuck");
        fs::create_dir(&stuck).unwrap();
        let error = new.place(&layout, &|_| Vec::new()).unwrap_err();
        assert!(format!("{error:#}").contains("cannot take off what"), "{error:#}");
        fs::remove_dir(&stuck).unwrap();
        assert!(new.place(&layout, &|_| Vec::new()).unwrap().is_empty());
        let ours = judges();
        assert!(ours.len() == 1 && ours != theirs && !abi.exists(), "{ours:?}");
    });
}

#[test]
fn the_maps_below_new_links_stay_though_the_older_version_does_not_go() {
    on_stage(|pin_dir, [curl, _]| {
        let mut old = load(pin_dir);
        old.attach(std::slice::from_ref(&curl), &|_| Vec::new()).unwrap();
        drop(old);
        let abi = pin_dir.join("v1");
        fs::rename(Pins::new(pin_dir).abi(), &abi).unwrap();
        fs::create_dir(abi.join("maps/stuck")).unwrap();
        let mut new = load(pin_dir);
        let pins = new.pins().clone();
        let _ = new.attach(std::slice::from_ref(&curl), &|_| Vec::new());
        drop(new);
        assert!(pins.links(curl.0).exists() && pins.map(map::CONFIG).exists());
    });
}

/// One agent that has attached to the first cgroup, and placed the test's interface for its workload.
fn placed(pin_dir: &Path, curl: &(CgroupId, PathBuf)) -> Kernel {
    let mut kernel = load(pin_dir);
    kernel.attach(std::slice::from_ref(curl), &|_| Vec::new()).unwrap();
    assert!(kernel.place(&layout(curl.0), &|_| Vec::new()).unwrap().is_empty());
    kernel
}

/// Takes the judge off an interface, as somebody might.
fn take_off(kernel: &Kernel, index: u32) {
    let pin = kernel.pins().interface(index).join("enforcer_tc_in");
    sys::link_detach(sys::get(&pin).unwrap().as_fd()).unwrap();
    fs::remove_file(pin).unwrap();
}

#[test]
fn connections_are_asked_for_of_those_whose_packets_begin_to_be_judged() {
    on_stage(|pin_dir, [curl, job]| {
        let asked = RefCell::new(Vec::new());
        let inbound = |whose: Whose<'_>| {
            asked.borrow_mut().push(format!("{whose:?}"));
            Vec::new()
        };
        let asked = || asked.take();
        let mut kernel = load(pin_dir);
        let below = |cgroup: &(CgroupId, PathBuf)| format!("{:?}", Whose::Below(&cgroup.1));
        let own = format!("{:?}", Whose::Workload(curl.0));
        kernel.attach(&[curl.clone(), job.clone()], &inbound).unwrap();
        assert_eq!(asked(), [below(&curl), below(&job)]);
        assert!(kernel.place(&layout(curl.0), &inbound).unwrap().is_empty());
        assert_eq!(asked(), std::slice::from_ref(&own));
        take_off(&kernel, INDEX);
        let found = kernel.check_order(&inbound).unwrap();
        assert_eq!((found.len(), &found[0].trouble, &found[0].fault), (1, &Trouble::Missing, &None));
        assert_eq!(asked(), [own]);
    });
}

/// Nothing of it is older than its programs but what a workload has made up.
#[test]
fn connections_are_not_asked_for_of_an_interface_that_came_while_the_agent_ran() {
    on_stage(|pin_dir, [curl, job]| {
        let asked = RefCell::new(Vec::new());
        let inbound = |whose: Whose<'_>| {
            asked.borrow_mut().push(format!("{whose:?}"));
            Vec::new()
        };
        let own = |cgroup: &(CgroupId, PathBuf)| format!("{:?}", Whose::Workload(cgroup.0));
        let mut kernel = load(pin_dir);
        kernel.attach(std::slice::from_ref(&curl), &|_| Vec::new()).unwrap();
        let mut both = layout(curl.0);
        ip("link add older index 80 type veth peer name far");
        assert!(kernel.place(&both, &inbound).unwrap().is_empty());
        ip("link add later index 90 type veth peer name away");
        for (index, name) in [(80, "older"), (90, "later")] {
            let placed = Placed { name: name.to_owned(), workload: Some(job.0), ambient: false };
            both.interfaces.insert(index, placed);
            assert!(kernel.place(&both, &inbound).unwrap().is_empty());
        }
        assert_eq!(asked.take(), [own(&curl), own(&job)], "the last one is new");
        // From now on it is as old as any: somebody may have connected while nobody looked.
        take_off(&kernel, 90);
        assert!(kernel.place(&both, &inbound).unwrap().is_empty());
        assert_eq!(asked.take(), [own(&job)]);
    });
}

#[test]
fn an_interface_that_cannot_be_looked_at_hides_nothing_of_another() {
    on_stage(|pin_dir, [curl, _]| {
        ip("link add other index 80 type veth peer name far");
        let mut kernel = placed(pin_dir, &curl);
        let mut both = layout(curl.0);
        let other = Placed { name: "other".to_owned(), workload: Some(curl.0), ambient: false };
        both.interfaces.insert(80, other);
        assert!(kernel.place(&both, &|_| Vec::new()).unwrap().is_empty());
        let unreadable = kernel.pins().interface(INDEX).join("enforcer_tc_in");
        take_off(&kernel, INDEX);
        fs::create_dir(&unreadable).unwrap();
        take_off(&kernel, 80);
        let found = kernel.check_order(&|_| Vec::new()).unwrap();
        let told: Vec<_> =
            found.iter().map(|found| (&*found.name, &found.trouble, found.fault.is_some())).collect();
        assert_eq!(told, [("host", &Trouble::Unknown, true), ("other", &Trouble::Missing, false)]);
        assert!(found[0].fault.as_ref().unwrap().contains("cannot tell what is attached"), "{found:?}");
    });
}

#[test]
fn an_interface_that_has_gone_lacks_nothing() {
    on_stage(|pin_dir, [curl, _]| {
        let mut kernel = placed(pin_dir, &curl);
        ip("link del host");
        assert_eq!(kernel.check_order(&|_| Vec::new()).unwrap(), []);
    });
}

#[test]
fn a_detach_that_has_begun_is_seen_before_anything_is_put_back() {
    on_stage(|pin_dir, [curl, _]| {
        let mut kernel = placed(pin_dir, &curl);
        // It ends at an interface.
        let stuck = kernel.pins().interface(INDEX).join("enforcer_stuck");
        fs::create_dir(&stuck).unwrap();
        detach::detach(pin_dir).unwrap_err();
        assert!(!kernel.is_intact());
        // What is left of the maps is enough for a start.
        fs::remove_dir(&stuck).unwrap();
        drop(kernel);
        kernel = placed(pin_dir, &curl);
        assert!(kernel.is_intact());
    });
}

#[test]
fn a_detach_while_programs_are_put_back_leaves_none() {
    for mechanism in [Mechanism::Tcx, Mechanism::Clsact] {
        on_stage(|pin_dir, [curl, _]| {
            let mut kernel = load(pin_dir);
            kernel.programs.mechanism = mechanism;
            kernel.attach(std::slice::from_ref(&curl), &|_| Vec::new()).unwrap();
            assert!(kernel.place(&layout(curl.0), &|_| Vec::new()).unwrap().is_empty());
            match mechanism {
                Mechanism::Tcx => take_off(&kernel, INDEX),
                Mechanism::Clsact => drop(tc("filter del dev host ingress")),
            }
            let detaches = |_: Whose<'_>| {
                detach::detach(pin_dir).unwrap();
                Vec::new()
            };
            kernel.check_order(&detaches).unwrap_err();
            assert!(!kernel.is_intact());
            // A link whose pin has gone goes a little later.
            let goes = (0..500).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                judges().is_empty()
            });
            assert!(goes, "{mechanism:?}");
            let filters = tc("filter show dev host ingress");
            assert!(!filters.contains("enforcer"), "{filters}");
        });
    }
}

/// What `tc`, of iproute2, says.
fn tc(arguments: &str) -> String {
    let output = std::process::Command::new("tc").args(arguments.split(' ')).output();
    let output = output.expect("tc, of iproute2");
    assert!(output.status.success(), "tc {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
