//! What comes in to the workload: nothing of it is dropped, some of it is remembered.

use super::flows::Flow;
use super::transport::{self, Message, Transport};
use super::{History, Model, Packet, Part, Protocol, Spoken, icmp, read, registry};

/// Takes note of a frame that comes in to the workload.
pub fn arrive(model: &Model, history: &mut History, frame: &[u8]) {
    // The rule that speaks would deny it if it left; here it passes, and leaves nothing behind.
    let _ = remember(model, history, frame);
}

fn remember(model: &Model, history: &mut History, frame: &[u8]) -> Spoken<()> {
    let packet = read(model, frame)?;
    if let Part::Later(..) = packet.part {
        return Ok(());
    }
    match transport::read(&packet)? {
        Transport::Icmp(message) if is_echo_request(&packet, &message) => {
            history.flows.echo_came(packet.source, message.identifier);
        }
        Transport::Icmp(message) if is_discovery(&packet, &message) => {
            history.flows.discovery_came(packet.source);
        }
        Transport::Icmp(_) => {}
        Transport::Tcp(segment) => history.flows.tcp_came(segment.arriving(&packet), &segment),
        Transport::Udp { source_port, destination_port } => {
            let flow = Flow { own_port: destination_port, remote: packet.source, remote_port: source_port };
            let may_send = registry::ask(model, flow.remote, Protocol::Udp, flow.remote_port).allowed;
            history.flows.udp_came(flow, may_send);
        }
    }
    Ok(())
}

/// Solicitations of neighbours and routers, and advertisements of neighbours: what a workload may send itself.
fn is_discovery(packet: &Packet, message: &Message) -> bool {
    packet.protocol == 58
        && [133, 135, 136].contains(&message.kind)
        && icmp::is_discovery(packet, message.code)
}

fn is_echo_request(packet: &Packet, message: &Message) -> bool {
    matches!((packet.protocol, message.kind, message.code), (1, 8, 0) | (58, 128, 0))
}
