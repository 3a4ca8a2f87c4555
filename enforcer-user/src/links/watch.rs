//! Being told when interfaces or addresses change.

use std::io;

use anyhow::{Context as _, Result};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use tokio::io::unix::AsyncFd;

/// Which news: of interfaces, and of their IPv4 and IPv6 addresses (linux/rtnetlink.h).
const GROUPS: [u32; 3] = [1, 5, 9];

/// News of the interfaces of a network namespace.
#[derive(Debug)]
pub struct LinkNews {
    socket: AsyncFd<Socket>,
}

/// Listens in the network namespace that the calling thread is in. Needs a tokio runtime.
pub fn watch() -> Result<LinkNews> {
    let subscribe = || {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        // SAFETY: a Socket owns its descriptor, the same one for as long as it lives, and the AsyncFd owns the Socket.
        let socket = unsafe { AsyncFd::register(socket) };
        Ok::<_, io::Error>(socket?)
    };
    let socket = subscribe().context("cannot listen to changes of network interfaces")?;
    Ok(LinkNews { socket })
}

impl LinkNews {
    /// Returns once anything has changed since the last call, or since [`watch`]. May be dropped and called again.
    pub async fn changed(&mut self) -> Result<()> {
        loop {
            let waiting = self.socket.readable().await;
            let mut ready = waiting.context("cannot wait for changes of network interfaces")?;
            if let Ok(news) = ready.try_io(|socket| take_all(socket.get_ref())) {
                return news.context("cannot hear of changes of network interfaces");
            }
        }
    }
}

/// Takes everything there is, and fails with `WouldBlock` when there is nothing.
fn take_all(socket: &Socket) -> io::Result<()> {
    // What it says does not matter: the caller reads everything anew.
    let mut buffer = [0_u8; 16];
    let mut anything = false;
    loop {
        match socket.recv(&mut &mut buffer[..], 0) {
            Ok(_) => anything = true,
            // More happened than the socket could hold.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => anything = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && anything => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::time::timeout;

    use super::*;
    use crate::links::stage::{ip, on_node};

    /// Far longer than news take.
    const QUIET: Duration = Duration::from_millis(300);

    /// Runs a story in a network namespace of its own, where all that making it caused has been heard.
    fn listening(story: impl AsyncFnOnce(&mut LinkNews) + Send) {
        on_node(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut news = watch().unwrap();
                while timeout(QUIET, news.changed()).await.is_ok_and(|news| news.is_ok()) {}
                story(&mut news).await;
            });
        });
    }

    #[test]
    fn a_new_veth_is_noticed_within_milliseconds() {
        listening(async |news| {
            let mut took = Vec::new();
            for number in 0..5 {
                let making = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(50));
                    ip(&format!("link add here{number} type veth peer name there{number}"));
                    Instant::now()
                });
                timeout(Duration::from_secs(10), news.changed()).await.unwrap().unwrap();
                let heard = Instant::now();
                took.push(heard.saturating_duration_since(making.join().unwrap()));
                while timeout(QUIET, news.changed()).await.is_ok() {}
            }
            // The machine may have had other things to do.
            assert!(took.iter().any(|late| *late < Duration::from_millis(50)), "{took:?} after it was there");
        });
    }

    #[test]
    fn many_changes_are_one_and_none_is_lost_between_calls() {
        listening(async |news| {
            ip("link add here type veth peer name there");
            ip("address add 192.0.2.1/24 dev here");
            ip("address add 2001:db8::1/64 dev here");
            timeout(QUIET, news.changed()).await.expect("three changes").unwrap();
            assert!(timeout(QUIET, news.changed()).await.is_err(), "told twice of the same");
            for change in
                ["address del 192.0.2.1/24 dev here", "address del 2001:db8::1/64 dev here", "link del here"]
            {
                ip(change);
                timeout(QUIET, news.changed()).await.expect(change).unwrap();
            }
        });
    }

    #[test]
    fn more_than_the_socket_holds_is_a_change_like_any_other() {
        listening(async |news| {
            let socket = news.socket.get_ref();
            // The kernel raises it to the smallest it has, some 2 KiB.
            socket.set_rx_buf_sz(1_u32).unwrap();
            for last in 1..=20 {
                ip(&format!("address add 192.0.2.{last}/32 dev lo"));
            }
            timeout(QUIET, news.changed()).await.expect("an overrun").unwrap();
            assert!(timeout(QUIET, news.changed()).await.is_err(), "told twice of the same");
            ip("address add 192.0.2.99/32 dev lo");
            timeout(QUIET, news.changed()).await.expect("a change after it").unwrap();
        });
    }
}
