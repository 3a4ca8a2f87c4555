//! The way of kernels before 6.6, which newer ones have kept. `tc`, of iproute2, is the witness.

use std::process::Command;

use super::*;

impl Stage {
    fn attach_filters(&mut self, target: &Target) -> Result<()> {
        self.programs.mechanism = Mechanism::Clsact;
        self.attach(target)
    }
}

fn tc(arguments: &str) -> String {
    let output = Command::new("tc").args(arguments.split(' ')).output().expect("tc, of iproute2");
    assert!(output.status.success(), "tc {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Adds someone else's filter.
fn foreign_filter(stage: &Stage, place: &str) {
    let pin = stage.pins.abi().with_file_name("foreign");
    if !pin.exists() {
        sys::pin(sys::load_trivial(sys::PROG_TYPE_SCHED_CLS, 0).unwrap().as_fd(), &pin).unwrap();
    }
    tc(&format!("filter add dev host ingress {place} bpf direct-action object-pinned {}", pin.display()));
}

/// The filters with a program, as `pref 50 … handle 0x1 enforcer_tc_in direct-action … id 7`.
fn filters(direction: &str) -> Vec<String> {
    let shown = tc(&format!("filter show dev host {direction}"));
    shown.lines().filter(|line| line.contains("handle")).map(str::to_owned).collect()
}

/// Those of both directions, of which there must be one each.
fn one_each() -> [String; 2] {
    let [out, into] = [filters("egress"), filters("ingress")];
    assert_eq!((out.len(), into.len()), (1, 1), "{out:?} {into:?}");
    [out[0].clone(), into[0].clone()]
}

#[test]
fn without_links_there_are_filters_which_a_later_agent_replaces() {
    on_stage(|stage| {
        stage.attach_filters(&workload()).unwrap();
        let [out, into] = one_each();
        for (filter, name) in [(&out, "enforcer_tc_out"), (&into, "enforcer_tc_in")] {
            assert!(
                filter.contains(&format!("pref 50 bpf chain 0 handle 0x1 {name} direct-action")),
                "{filter}"
            );
        }
        assert_eq!((at(recorder()), at(judge())), (vec![], vec![]));
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::First);
        let mut later = Stage::load(&stage.pins);
        later.attach_filters(&workload()).unwrap();
        let [later_out, later_in] = one_each();
        assert!(later_out != out && later_in != into, "{later_out} {later_in}");
        // The filters outlive both.
        (stage.programs, later.programs) = {
            let pins = Pins::new(&stage.pins.abi().join("elsewhere"));
            (Stage::load(&pins).programs, Stage::load(&pins).programs)
        };
        assert_eq!(one_each(), [later_out, later_in]);
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::First);
        assert_eq!((stage.between, later.between), (1, 0));
    });
}

#[test]
fn filters_are_taken_off_and_those_of_others_stay() {
    on_stage(|stage| {
        tc("qdisc add dev host clsact");
        foreign_filter(stage, "pref 7 protocol all");
        stage.attach_filters(&workload()).unwrap();
        assert_eq!((filters("egress").len(), filters("ingress").len()), (1, 2));
        assert_eq!(detach_others(&stage.pins, &[]).unwrap(), [INDEX]);
        assert_eq!(filters("egress"), Vec::<String>::new());
        assert!(matches!(&filters("ingress")[..], [theirs] if theirs.contains("pref 7 ")));
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::Missing);
        stage.attach_filters(&workload()).unwrap();
        assert_eq!((filters("egress").len(), filters("ingress").len(), stage.between), (1, 2, 2));
    });
}

#[test]
fn a_filter_that_was_replaced_is_not_taken_off_with_the_version_before() {
    on_stage(|stage| {
        stage.attach_filters(&workload()).unwrap();
        let root = stage.pins.abi().parent().unwrap().to_path_buf();
        let old = root.join("v1");
        fs::rename(stage.pins.abi(), &old).unwrap();
        let mut ours = Stage::load(&stage.pins);
        ours.attach_filters(&workload()).unwrap();
        assert_eq!(ours.between, 1, "what the version before recorded is not ours to read");
        let filters_now = one_each();
        detach::detach_abi(&old, &mut detach::DetachReport::default()).unwrap();
        assert_eq!(one_each(), filters_now);
        let report = detach::detach(&root).unwrap();
        assert_eq!((report.links, filters("egress").len(), filters("ingress").len()), (2, 0, 0));
    });
}

#[test]
fn a_filter_that_someone_removed_is_missing_and_comes_back() {
    on_stage(|stage| {
        stage.attach_filters(&workload()).unwrap();
        tc("filter del dev host ingress");
        assert_eq!(order(&stage.pins, &workload()).unwrap(), Order::Missing);
        stage.attach_filters(&workload()).unwrap();
        assert_eq!((one_each().len(), stage.between), (2, 2));
        tc("qdisc del dev host clsact");
        stage.attach_filters(&workload()).unwrap();
        assert_eq!((one_each().len(), stage.between), (2, 3));
    });
}

#[test]
fn what_is_in_the_place_of_ours_is_not_overwritten() {
    on_stage(|stage| {
        // Where there is only `ingress`, the recorder would see what the workload sends.
        tc("qdisc add dev host ingress");
        let error = format!("{:#}", stage.attach_filters(&workload()).unwrap_err());
        assert!(error.contains("another queueing discipline is in the place of clsact"), "{error}");
        assert_eq!(filters("ingress"), Vec::<String>::new());
        tc("qdisc del dev host ingress");
        tc("qdisc add dev host clsact");
        foreign_filter(stage, "pref 50 protocol all handle 1");
        stage.attach_filters(&workload()).unwrap_err();
        assert!(matches!(&filters("ingress")[..], [theirs] if theirs.contains("foreign")));
        detach_others(&stage.pins, &[]).unwrap();
        assert_eq!((filters("egress").len(), filters("ingress").len()), (0, 1));
    });
}
