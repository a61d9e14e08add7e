//! SIGTERM and SIGINT as a stop signal.

use std::io;

use helios_runtime::executor::StopToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

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
