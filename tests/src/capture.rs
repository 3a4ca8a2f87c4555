//! What arrived somewhere, frame by frame.
//!
//! A capture does not sleep before it says that nothing came: it sends frames of its own behind what was tried and waits
//! until it has seen them. A veth pair keeps order for each CPU, so one goes over each; and a packet that is forwarded waits once
//! for each hop, so there are as many rounds as it has hops.

use std::cell::RefCell;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, setns};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::frame::{BROADCAST, ethernet, ethertype};
use crate::marker::Marker;
use crate::sys::packet;

/// Pod to node, node to the wire or to another pod, and one to spare.
const ROUNDS: usize = 3;
/// How long a frame over a veth pair may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// Room for bursts that nobody has read yet, in bytes.
const BUFFER: i32 = 32 << 20;
/// The longest frame.
const LONGEST: usize = 70_000;
/// What frames of the kinds below are handed over as: after the programs, unlike `ETH_P_ALL`. The small ones are LLC.
const KINDS: [u16; 10] = [
    ethertype::IPV4,
    ethertype::IPV6,
    ethertype::ARP,
    ethertype::VLAN,
    ethertype::QINQ,
    ethertype::EXPERIMENT,
    ethertype::MPLS,
    ethertype::PPPOE,
    1,
    4,
];
const ETH_P_ALL: u16 = 3;

/// An interface of a network namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point<'a> {
    /// The namespace.
    pub(crate) network: &'a File,
    /// The interface's name in it.
    pub(crate) interface: &'a str,
}

/// All frames that an interface received since this was made.
#[derive(Debug)]
pub struct Capture {
    /// What is received before any program, and tells how far we are.
    everything: Socket,
    /// What is received after the programs; nothing when it does not matter.
    past: Vec<Socket>,
    /// Sends to the interface from the other end.
    sentinel: Socket,
    sentinel_to: SockAddr,
    frames: RefCell<Vec<Vec<u8>>>,
}

impl Capture {
    /// Of an interface whose other end is `from`.
    pub(crate) fn new(at: &Point<'_>, from: &Point<'_>) -> Result<Self> {
        let (everything, _) = listen(at, ETH_P_ALL)?;
        let (sentinel, index) = open(from)?;
        // Past queues and programs of the interface that it leaves by.
        let on = 1_i32.to_ne_bytes();
        packet::set_option(sentinel.as_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &on)
            .context("sending past programs")?;
        let sentinel_to = packet::link(index, ethertype::SENTINEL, BROADCAST)?;
        Ok(Self { everything, past: Vec::new(), sentinel, sentinel_to, frames: RefCell::default() })
    }

    /// The same, of what the interface's ingress programs let pass.
    pub(crate) fn past_programs(at: &Point<'_>, from: &Point<'_>) -> Result<Self> {
        let mut capture = Self::new(at, from)?;
        for kind in KINDS {
            capture.past.push(listen(at, kind)?.0);
        }
        Ok(capture)
    }

    /// The frames of this marker, once all that was sent before has arrived.
    pub fn saw(&self, marker: &Marker) -> Result<Vec<Vec<u8>>> {
        self.settle()?;
        Ok(self.frames.borrow().iter().filter(|frame| marker.is_in(frame)).cloned().collect())
    }

    /// The IP packets to this address, once all that was sent before has arrived.
    pub fn saw_to(&self, to: IpAddr) -> Result<Vec<Vec<u8>>> {
        self.settle()?;
        Ok(self.frames.borrow().iter().filter(|frame| destination(frame) == Some(to)).cloned().collect())
    }

    /// How many frames there are, once all that was sent before has arrived.
    pub fn count(&self) -> Result<usize> {
        self.settle()?;
        Ok(self.frames.borrow().len())
    }

    /// Every frame so far, once all that was sent before has arrived.
    pub fn all(&self) -> Result<Vec<Vec<u8>>> {
        self.settle()?;
        Ok(self.frames.borrow().clone())
    }

    /// Forgets what arrived.
    pub fn clear(&self) -> Result<()> {
        self.settle()?;
        self.frames.borrow_mut().clear();
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        let all = sched_getaffinity(Pid::from_raw(0)).context("asking for the CPUs")?;
        for _ in 0..ROUNDS {
            for cpu in (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap_or(false)) {
                self.follow(cpu)?;
            }
        }
        for socket in &self.past {
            Self::read(socket, |frame| {
                self.frames.borrow_mut().push(frame);
                false
            })?;
        }
        let lost: u32 =
            self.sockets().map(|socket| packet::dropped(socket.as_fd()).unwrap_or(u32::MAX)).sum();
        anyhow::ensure!(lost == 0, "a capture lost {lost} frames");
        Ok(())
    }

    fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.past.iter().chain([&self.everything])
    }

    /// Sends a frame from this CPU and reads until it comes.
    fn follow(&self, cpu: usize) -> Result<()> {
        let marker = Marker::fresh();
        let frame =
            ethernet(BROADCAST, marker.mac(), ethertype::SENTINEL, &[&marker.bytes()[..], &[0; 30]].concat());
        let (sentinel, to) = (&self.sentinel, &self.sentinel_to);
        let send = || -> Result<()> {
            let mut only = CpuSet::new();
            only.set(cpu).context("naming a CPU")?;
            sched_setaffinity(Pid::from_raw(0), &only).context("moving to a CPU")?;
            sentinel.send_to(&frame, to).context("sending behind what was tried")?;
            Ok(())
        };
        thread::scope(|scope| scope.spawn(send).join())
            .map_err(|_| anyhow::anyhow!("sending panicked"))??;
        let since = Instant::now();
        let keep = self.past.is_empty();
        loop {
            let found = Self::read(&self.everything, |frame| {
                let own = frame.get(12..14) == Some(&ethertype::SENTINEL.to_be_bytes()[..]);
                let found = own && marker.is_in(&frame);
                if keep && !own {
                    self.frames.borrow_mut().push(frame);
                }
                found
            })?;
            if found {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                bail!("a frame over a veth pair does not come within {} s", PATIENCE.as_secs());
            }
            let mut waiting = [PollFd::new(self.everything.as_fd(), PollFlags::POLLIN)];
            poll(&mut waiting, PollTimeout::from(100_u8)).context("waiting for frames")?;
        }
    }

    /// Reads until `found` or nothing waits.
    fn read(socket: &Socket, mut found: impl FnMut(Vec<u8>) -> bool) -> Result<bool> {
        let mut buffer = vec![0; LONGEST];
        while let Some(frame) = packet::receive(socket.as_fd(), &mut buffer).context("reading frames")? {
            if found(frame) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The destination of an IP packet in a frame.
pub fn destination(frame: &[u8]) -> Option<IpAddr> {
    match u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?) {
        ethertype::IPV4 => Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(30..34)?).ok()?)),
        ethertype::IPV6 => Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(38..54)?).ok()?)),
        _ => None,
    }
}

/// A packet socket that receives what the interface receives, not what it sends.
/// Sends frames by an interface as they are.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    to: SockAddr,
}

impl Sender {
    pub(crate) fn new(at: &Point<'_>) -> Result<Self> {
        let (socket, index) = open(at)?;
        let to = packet::link(index, ethertype::IPV4, BROADCAST)?;
        Ok(Self { socket, to })
    }

    /// Sends one.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        self.socket.send_to(frame, &self.to).map(drop).context("sending a frame")
    }
}

fn listen(at: &Point<'_>, kind: u16) -> Result<(Socket, u32)> {
    let (socket, index) = open(at)?;
    let on = 1_i32.to_ne_bytes();
    let options = [
        (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, BUFFER.to_ne_bytes()),
        (libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, on),
        (libc::SOL_PACKET, libc::PACKET_AUXDATA, on),
    ];
    for (level, name, value) in options {
        packet::set_option(socket.as_fd(), level, name, &value).context("preparing a capture")?;
    }
    socket.bind(&packet::link(index, kind, BROADCAST)?).context("capturing")?;
    Ok((socket, index))
}

/// A packet socket in a namespace, and the index of the interface there.
fn open(at: &Point<'_>) -> Result<(Socket, u32)> {
    within(at.network, || {
        let index = if_nametoindex(at.interface).with_context(|| format!("finding {}", at.interface))?;
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)));
        Ok((socket.context("making a packet socket")?, index))
    })
}

/// Does something in a network namespace: a thread of its own enters it, so that this one stays.
pub(crate) fn within<T: Send>(network: &File, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let act = || {
        setns(network.as_fd(), CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
        act()
    };
    thread::scope(|scope| scope.spawn(act).join())
        .map_err(|_| anyhow::anyhow!("a thread in a namespace panicked"))?
}
