//! SIGTERM and SIGINT as a stop signal, SIGHUP as the wish that files be read again.

use std::io;

use helios_runtime::executor::StopToken;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::server::Reload;

/// A stop signal that is given when the process gets SIGTERM or SIGINT; the second one ends the process at once.
///
/// # Errors
/// What the operating system says when handlers or a thread cannot be had.
#[allow(clippy::disallowed_methods)] // signals come to a thread that does nothing else, outside of any executor
pub fn stop_on_signals() -> io::Result<StopToken> {
    let stop = StopToken::new();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let given = stop.clone();
    std::thread::Builder::new().name("helios-signals".into()).spawn(move || {
        for signal in signals.forever() {
            if given.is_stopping() {
                std::process::exit(128 + signal);
            }
            given.stop();
        }
    })?;
    Ok(stop)
}

/// Has a server read its files again whenever the process gets SIGHUP.
///
/// # Errors
/// What the operating system says when handlers or a thread cannot be had.
#[allow(clippy::disallowed_methods)] // signals come to a thread that does nothing else, outside of any executor
pub fn reload_on_signal(reload: Reload) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    std::thread::Builder::new().name("helios-reload".into()).spawn(move || {
        signals.forever().for_each(|_| reload.reload());
    })?;
    Ok(())
}
