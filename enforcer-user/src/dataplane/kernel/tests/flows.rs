//! What began before there were programs, in the tables of flows.

use std::net::{IpAddr, Ipv4Addr};

use enforcer_common::addr::Protocol;
use enforcer_common::limits::{LRU_SPARE_PER_CPU, MOST_FLOWS};
use enforcer_common::mode::OutboundPolicy;

use super::*;

/// A workload's connections from so many clients, each another one.
fn connections(workload: CgroupId, clients: std::ops::Range<u32>) -> Vec<InboundFlow> {
    let from = |client| InboundFlow {
        workload,
        protocol: Protocol::TCP,
        remote: IpAddr::V4(Ipv4Addr::from(0xc612_0000 + client)),
        remote_port: 40_000,
        local_port: 80,
    };
    clients.map(from).collect()
}

/// A node whose maps know the workload of the first cgroup.
fn on_node_with_workload(story: impl FnOnce(&mut Kernel, (CgroupId, PathBuf)) + Send) {
    on_stage(|pin_dir, [curl, _]| {
        let mut kernel = load(pin_dir);
        let known = Workload::new(Workload::UNKNOWN.view(), false, OutboundPolicy::Unknown, None);
        kernel.apply(&[MapOp::SetWorkload(curl.0, known)]).unwrap();
        story(&mut kernel, curl);
    });
}

#[test]
fn a_workload_with_more_connections_than_a_table_holds_gets_a_larger_one() {
    on_node_with_workload(|kernel, curl| {
        let id = curl.0;
        let first = connections(id, 0..10);
        assert_eq!(kernel.maps.flows.remember(id, &first).unwrap(), 10);
        let many = connections(id, 1_000..21_000);
        kernel.attach(&[curl], &|_| many.clone()).unwrap();
        // They are looked for again, and so are those of before.
        assert_eq!(kernel.maps.flows.count(id, &many).unwrap(), 20_000);
        assert_eq!(kernel.maps.flows.count(id, &first).unwrap(), 10);
    });
}

#[test]
fn of_more_connections_than_any_table_holds_it_is_told_how_many_are_remembered() {
    on_node_with_workload(|kernel, (id, _)| {
        let many = connections(id, 0..MOST_FLOWS + 40_000);
        assert_eq!(kernel.maps.flows.remember(id, &many).unwrap(), usize::try_from(MOST_FLOWS).unwrap());
    });
}

#[test]
fn free_elements_that_lie_aside_for_cpus_are_none_of_a_tables_own() {
    on_node_with_workload(|kernel, (id, _)| {
        let cpus = u32::try_from(aya::util::nr_cpus().unwrap()).unwrap();
        let flows = sys::get(&kernel.pins().map(map::FLOWS)).unwrap();
        let table = sys::inner_map(flows.as_fd(), &id.get().to_ne_bytes()).unwrap();
        assert_eq!(sys::max_entries(table.as_fd()).unwrap(), 16 + LRU_SPARE_PER_CPU * cpus);
    });
}
