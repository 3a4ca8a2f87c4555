//! Filters of traffic control, for kernels before 6.6: they have no links and outlive who made them. The program is
//! pinned instead, which tells whose filter it is.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use aya::programs::TcAttachType;
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError};
use enforcer_common::names::{Direction, InterfaceProgram};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::tcx::pin_over;
use crate::dataplane::load::Programs;
use crate::dataplane::sys::{self, PinnedObject};
use crate::netlink;

/// Before those to whom the kernel gives a priority, which is 49152.
const PRIORITY: u16 = 50;
/// Ours among the filters of that priority.
const HANDLE: u16 = 1;
/// `ETH_P_ALL`: packets of all protocols.
const ALL_PROTOCOLS: u16 = 3;

/// A filter in our place.
#[derive(Default)]
struct Filter {
    name: Option<String>,
    program: Option<u32>,
}

/// Whether the filter of the program that is pinned there is on the interface.
pub(super) fn is_attached(pin: &Path, index: u32, direction: Direction) -> io::Result<bool> {
    let object = match sys::get(pin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        object => object?,
    };
    match sys::identify(object.as_fd())? {
        PinnedObject::Program(id) => is_program(id, index, direction),
        PinnedObject::Link(_) | PinnedObject::Other => Ok(false),
    }
}

fn is_program(id: u32, index: u32, direction: Direction) -> io::Result<bool> {
    Ok(filter(index, direction)?.is_some_and(|filter| filter.program == Some(id)))
}

/// Puts the program into the filter that is there, one of another version too, or into a new one.
pub(super) fn attach(
    pin: &Path,
    index: u32,
    program: &InterfaceProgram,
    programs: &mut Programs,
) -> Result<()> {
    // aya takes names; an interface may have got another one.
    let name = nix::net::if_::if_indextoname(index).context("there is no such interface")?;
    let name = name.to_str().context("its name is not text")?;
    // As nix 0.31 calls an interface that is not there.
    ensure!(!name.is_empty(), "there is no such interface");
    let place = match program.direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    };
    let handle = tc::TcHandle::new(0, HANDLE);
    let there = filter(index, program.direction).context("cannot ask for the filter that is there")?;
    let classifier = programs.classifier(program)?;
    let id = if there.is_some_and(|filter| filter.name.as_deref() == Some(program.name)) {
        let filter = SchedClassifierLink::attached(name, place, PRIORITY, handle, None)?;
        classifier.attach_to_link(filter).context("cannot replace the filter")?
    } else {
        add_clsact(index, name)?;
        let options = NlOptions { priority: PRIORITY, handle, classid: None };
        let options = TcAttachOptions::Netlink(options);
        classifier.attach_with_options(name, place, options).context("cannot add a filter")?
    };
    // Dropped, it would take the filter off.
    std::mem::forget(classifier.take_link(id)?);
    let loaded = programs.interface(program)?;
    pin_over(loaded, pin).or_else(|error| {
        // Nobody would know whose it is.
        if let PinnedObject::Program(id) = sys::identify(loaded)? {
            take_off(id, index)?;
        }
        Err(error).context("cannot pin the program")
    })
}

/// Adds the queueing discipline that has the filters, unless it is there.
fn add_clsact(index: u32, name: &str) -> Result<()> {
    match tc::qdisc_add_clsact(name) {
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
        done => return done.context("cannot add the queueing discipline clsact"),
    }
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let answers = netlink::dump(NETLINK_ROUTE, request).context("cannot list queueing disciplines")?;
    let is_clsact = answers.into_iter().any(|answer| match answer {
        RouteNetlinkMessage::NewQueueDiscipline(message) => {
            message.header.index == index.cast_signed()
                && message.attributes.contains(&TcAttribute::Kind("clsact".to_owned()))
        }
        _ => false,
    });
    // In `ingress`, a filter of what is sent would see what is received.
    ensure!(
        is_clsact,
        "another queueing discipline is in the place of clsact: see `tc qdisc show dev {name}`"
    );
    Ok(())
}

/// Takes the filters of a program off the interface. The queueing discipline stays: others may have filters there.
pub(super) fn take_off(id: u32, index: u32) -> io::Result<()> {
    for direction in [Direction::Ingress, Direction::Egress] {
        if is_program(id, index, direction)? {
            ask(RouteNetlinkMessage::DelTrafficFilter(place(index, direction)))?;
        }
    }
    Ok(())
}

/// What is in our place.
fn filter(index: u32, direction: Direction) -> io::Result<Option<Filter>> {
    let answers = match ask(RouteNetlinkMessage::GetTrafficFilter(place(index, direction))) {
        // No filter, no interface, no clsact.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EINVAL)) => {
            return Ok(None);
        }
        answers => answers?,
    };
    Ok(answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewTrafficFilter(message) => Some(read(message)),
        _ => None,
    }))
}

fn read(message: TcMessage) -> Filter {
    let options = message.attributes.into_iter().flat_map(|attribute| match attribute {
        TcAttribute::Options(options) => options,
        _ => Vec::new(),
    });
    let mut filter = Filter::default();
    for option in options {
        match option {
            TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => filter.name = Some(name),
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => filter.program = Some(id),
            _ => {}
        }
    }
    filter
}

fn place(index: u32, direction: Direction) -> TcMessage {
    let minor = match direction {
        Direction::Ingress => TcHandle::MIN_INGRESS,
        Direction::Egress => TcHandle::MIN_EGRESS,
    };
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = TcHandle { major: TcHandle::CLSACT.major, minor };
    message.header.info = u32::from(PRIORITY) << 16 | u32::from(ALL_PROTOCOLS.to_be());
    message.header.handle = TcHandle { major: 0, minor: HANDLE };
    message
}

fn ask(request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    netlink::ask(NETLINK_ROUTE, request)
}
