//! On interfaces of a network namespace of the test's own, with the real programs, over a bpffs of its own.

mod clsact;

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::bail;

use super::*;
use crate::dataplane::probe::pinned::{PinnedTarget, pinned};
use crate::dataplane::stage::{SMALL, on_bpffs};
use crate::dataplane::sys::Attached;
use crate::dataplane::{detach, load};
use crate::links::stage::ip;

/// The host's side of the test's pair.
const INDEX: u32 = 70;

/// Programs, and where they are pinned.
struct Stage {
    pins: Pins,
    programs: Programs,
    between: usize,
}

impl Stage {
    fn load(pins: &Pins) -> Self {
        Self {
            pins: pins.clone(),
            programs: load::load(pins, &SMALL, load::Options::default()).unwrap(),
            between: 0,
        }
    }

    fn attach(&mut self, target: &Target) -> Result<()> {
        let mut count = || {
            self.between += 1;
            Ok(())
        };
        attach(&self.pins, target, &mut self.programs, &mut count)
    }
}

/// Runs a story in fresh network and mount namespaces, where there are a workload's interface and loaded programs.
fn on_stage(story: impl FnOnce(&mut Stage) + Send) {
    on_bpffs(|directory| {
        add_interface();
        story(&mut Stage::load(&Pins::new(directory)));
    });
}

fn add_interface() {
    ip(&format!("link add host index {INDEX} type veth peer name pod index 71"));
}

fn workload() -> Target {
    Target { index: INDEX, name: "host".to_owned(), side: Side::Workload }
}

/// What is attached where this program belongs.
fn at(program: &InterfaceProgram) -> Vec<Attached> {
    tcx::attached(INDEX, program).unwrap()
}

/// Someone else's program, before all others while the link is there.
fn foreign(beside: &InterfaceProgram) -> OwnedFd {
    let program = sys::load_trivial(sys::PROG_TYPE_SCHED_CLS, 0).unwrap();
    sys::link_create_first(program.as_fd(), INDEX, tcx::hook(beside)).unwrap()
}

fn recorder() -> &'static InterfaceProgram {
    of_side(Side::Workload).next().unwrap()
}

fn judge() -> &'static InterfaceProgram {
    of_side(Side::Workload).last().unwrap()
}

#[test]
fn ours_runs_before_a_program_that_was_there_first() {
    on_stage(|stage| {
        let _foreign = foreign(judge());
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::Missing);
        let theirs = at(judge());
        stage.attach(&workload()).unwrap();
        let now = at(judge());
        assert_eq!((now.len(), now[1..].to_vec()), (2, theirs));
        assert_eq!(at(recorder()).len(), 1);
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::First);
        // An uplink gets its one program, for what it sends, and nobody has to wait for it.
        ip("link add uplink index 80 type veth peer name far");
        stage.between = 0;
        let uplink = Target { index: 80, name: "uplink".to_owned(), side: Side::Uplink };
        stage.attach(&uplink).unwrap();
        let sent = tcx::attached(80, of_side(Side::Uplink).next().unwrap()).unwrap();
        assert_eq!((sent.len(), tcx::attached(80, judge()).unwrap().len(), stage.between), (1, 0, 0));
    });
}

#[test]
fn a_later_agent_puts_its_programs_into_the_links_that_are_there() {
    on_stage(|stage| {
        stage.attach(&workload()).unwrap();
        let before = [at(recorder()), at(judge())].concat();
        let mut later = Stage::load(&stage.pins);
        later.attach(&workload()).unwrap();
        let after = [at(recorder()), at(judge())].concat();
        assert_eq!((before.len(), after.len()), (2, 2));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.link, after.link, "the link stayed: no instant was without");
            assert_ne!(before.program, after.program, "the program is the later agent's");
        }
        assert_eq!((stage.between, later.between), (1, 0));
    });
}

#[test]
fn nothing_is_judged_before_what_was_allowed_is_recorded() {
    on_stage(|stage| {
        let mut seen = Vec::new();
        let mut fails = || {
            seen.push((at(recorder()).len(), at(judge()).len()));
            bail!("the sockets cannot be listed")
        };
        attach(&stage.pins, &workload(), &mut stage.programs, &mut fails).unwrap_err();
        let left = pinned(stage.pins.abi().parent().unwrap()).unwrap().remove(0).interfaces;
        assert_eq!(left[0].missing, [judge().name]);
        assert_eq!(seen, [(1, 0)]);
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::Missing);
        stage.attach(&workload()).unwrap();
        stage.attach(&workload()).unwrap();
        assert_eq!((stage.between, at(judge()).len()), (1, 1));
    });
}

#[test]
fn an_interface_that_took_the_number_of_another_gets_links_of_its_own() {
    on_stage(|stage| {
        stage.attach(&workload()).unwrap();
        let before = at(judge());
        ip("link del host");
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::Missing);
        add_interface();
        assert_eq!(at(judge()), []);
        stage.attach(&workload()).unwrap();
        let after = at(judge());
        assert_eq!((after.len(), stage.between), (1, 2));
        assert_ne!(before[0].link, after[0].link);
    });
}

#[test]
fn an_interface_that_moved_away_does_not_stand_for_the_one_that_has_its_number() {
    on_stage(|stage| {
        stage.attach(&workload()).unwrap();
        let pod = crate::links::stage::Pod::start();
        ip(&format!("link set host netns {}", pod.pid()));
        ip(&format!("link add host index {INDEX} type veth peer name pod2"));
        stage.attach(&workload()).unwrap();
        assert_eq!((at(recorder()).len(), at(judge()).len(), stage.between), (1, 1, 2));
    });
}

#[test]
fn ours_is_put_before_what_came_later() {
    on_stage(|stage| {
        stage.attach(&workload()).unwrap();
        let _foreign = [foreign(recorder()), foreign(judge())];
        let theirs = [at(recorder())[0].program, at(judge())[0].program];
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::Behind(theirs.to_vec()));
        restore_order(&stage.pins, &workload(), &mut stage.programs).unwrap();
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::First);
        for (program, theirs) in [recorder(), judge()].into_iter().zip(theirs) {
            let attached = at(program);
            assert_eq!((attached.len(), attached[1].program), (2, theirs), "{}", program.name);
        }
        // And it is what the pins keep from now on.
        let kept = at(judge());
        stage.attach(&workload()).unwrap();
        restore_order(&stage.pins, &workload(), &mut stage.programs).unwrap();
        assert_eq!((at(judge()), stage.between), (kept, 1));
        assert_eq!(fs::read_dir(stage.pins.interface(INDEX)).unwrap().count(), 2);
    });
}

#[test]
fn no_instant_is_without_ours_while_programs_and_places_change() {
    on_stage(|stage| {
        stage.attach(&workload()).unwrap();
        let mut later = Stage::load(&stage.pins);
        let done = AtomicBool::new(false);
        let mut theirs = Vec::new();
        // A thread in the same namespace looks again and again.
        let looks = thread::scope(|scope| {
            let looker = scope.spawn(|| {
                let mut looks = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    looks.push(at(judge()));
                }
                looks
            });
            for agent in [&mut later, stage] {
                let _foreign = foreign(judge());
                theirs.push(at(judge())[0].program);
                agent.attach(&workload()).unwrap();
                restore_order(&agent.pins, &workload(), &mut agent.programs).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            looker.join().unwrap()
        });
        let is_ours = |attached: &Attached| !theirs.contains(&attached.program);
        assert!(looks.iter().all(|look| look.iter().any(is_ours)));
        assert!(looks.iter().any(|look| look.first().is_some_and(|first| !is_ours(first))), "saw nothing");
    });
}

#[test]
fn programs_are_taken_off_the_interfaces_that_are_not_kept() {
    on_stage(|stage| {
        stage.attach(&workload()).unwrap();
        ip("link add other index 80 type veth peer name far");
        stage.attach(&Target { index: 80, name: "other".to_owned(), ..workload() }).unwrap();
        ip("link add gone index 90 type veth peer name away");
        stage.attach(&Target { index: 90, name: "gone".to_owned(), ..workload() }).unwrap();
        ip("link del gone");
        let seen = pinned(stage.pins.abi().parent().unwrap()).unwrap().remove(0).interfaces;
        let complete = |id: &str, dangling| PinnedTarget {
            id: id.to_owned(),
            links: 2,
            dangling,
            ..PinnedTarget::default()
        };
        assert_eq!(seen, [complete("70", 0), complete("80", 0), complete("90", 2)]);
        assert_eq!(detach_others(&stage.pins, &[INDEX]).unwrap(), [80, 90]);
        assert_eq!(tcx::attached(80, judge()).unwrap(), []);
        assert_eq!(at(judge()).len(), 1);
        assert!(detach_others(&stage.pins, &[INDEX]).unwrap().is_empty());
    });
}

#[test]
fn detach_takes_off_what_every_version_has_attached() {
    on_stage(|stage| {
        stage.attach(&workload()).unwrap();
        let root = stage.pins.abi().parent().unwrap().to_path_buf();
        let old = root.join("v1");
        fs::rename(stage.pins.abi(), &old).unwrap();
        stage.programs = Stage::load(&stage.pins).programs;
        stage.attach(&workload()).unwrap();
        assert_eq!((at(recorder()).len(), at(judge()).len()), (2, 2));
        let report = detach::detach(&root).unwrap();
        assert_eq!((report.links, at(recorder()), at(judge())), (4, vec![], vec![]));
        assert!(!stage.pins.abi().exists() && !old.exists());
    });
}
