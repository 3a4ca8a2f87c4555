//! The demo: real processes in two cgroups dial real servers, in a network of their own, while the real agent enforces the
//! examples of `deploy/examples/registry`. A person reads what is done, the command, its real output, and a mark per expectation.

mod screen;
mod stage;
mod steps;

use anyhow::{Result, bail};

use crate::sys;
use screen::Screen;
use stage::Stage;

/// Runs it. Whether all was as expected; an error when it could not go on. Everything it made is gone afterwards, also
/// when it is interrupted.
pub fn run() -> Result<bool> {
    sys::catch_signals()?;
    let mut screen = Screen::default();
    let mut stage = Stage::build()?;
    for (number, (title, step)) in (1..).zip(steps::STEPS) {
        screen.title(number, title);
        let done = step(&mut stage, &mut screen);
        if sys::interrupted() {
            println!();
            bail!("interrupted; everything that the demo made is taken away again");
        }
        done?;
    }
    let made = stage.made();
    drop(stage);
    println!();
    for path in made {
        screen.check(
            &format!("{}", path.display()),
            "gone",
            if path.exists() { "still there" } else { "gone" },
        );
    }
    screen.summary();
    Ok(screen.is_fine())
}
