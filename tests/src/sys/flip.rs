//! A word that changes while it is sent.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread::{self, sleep};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// After so many sends others get their turn for so long: who receives, and who is told of denials.
const TURN: usize = 16;
const PAUSE: Duration = Duration::from_micros(200);
/// As long as a word stays at most, in turns of a loop: about as long as a program needs from its look to the packet's way on.
const LONGEST: u32 = 32;

/// A word of what is sent that changes all the while, its four bytes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flip {
    /// Where it is, from the beginning of what is sent.
    pub(crate) at: usize,
    /// What it is in turn, as it is in memory. It ends as the last.
    pub(crate) words: [u32; 2],
    /// How often it is sent.
    pub(crate) times: usize,
}

impl Flip {
    /// Sends again and again while another thread, on another CPU, flips the word; how often sending succeeded.
    pub(super) fn around(
        self,
        word: &AtomicU32,
        mut send: impl FnMut() -> io::Result<bool>,
    ) -> io::Result<usize> {
        let (running, end) = channel::<()>();
        let myself = Pid::from_raw(0);
        let all = sched_getaffinity(myself)?;
        let mut cpus = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap_or(false)).cycle();
        let mut next = || only(cpus.next().unwrap_or_default());
        let (here, there) = (next()?, next()?);
        sched_setaffinity(myself, &here)?;
        let turns = &AtomicUsize::new(0);
        let outcome = thread::scope(|scope| {
            // Dropped last, however this ends.
            let _running = running;
            let flipping = scope.spawn(move || {
                sched_setaffinity(myself, &there)?;
                for stay in (0..LONGEST).cycle() {
                    for value in self.words {
                        word.store(value, Ordering::SeqCst);
                        (0..stay).for_each(|_| std::hint::spin_loop());
                    }
                    turns.fetch_add(1, Ordering::Relaxed);
                    if end.try_recv() == Err(TryRecvError::Disconnected) {
                        break;
                    }
                }
                nix::Result::Ok(())
            });
            let mut taken = 0;
            for number in 0..self.times {
                taken += usize::from(send()?);
                if number % TURN == 0 {
                    // On a busy machine the other CPU may be somebody else's for a while.
                    let before = turns.load(Ordering::Relaxed);
                    sleep(PAUSE);
                    while turns.load(Ordering::Relaxed) == before && !flipping.is_finished() {
                        sleep(PAUSE);
                    }
                }
            }
            Ok(taken)
        });
        sched_setaffinity(myself, &all)?;
        outcome
    }
}

fn only(cpu: usize) -> nix::Result<CpuSet> {
    let mut only = CpuSet::new();
    only.set(cpu)?;
    Ok(only)
}
