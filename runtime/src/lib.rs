//! Everything of the surroundings, behind traits: disk, sockets, tasks, clock, entropy.
//!
//! Invariants
//! 1. No other crate touches the operating system's clock, randomness, files or sockets; the
//!    simulator in `tests` replaces all of it.
//! 2. Only this crate knows glommio or io_uring.
//! 3. Every future handed out is `Send`, independent of the polling runtime, and safe to drop:
//!    an operation whose future is dropped may still happen, and its buffer stays alive until then.

// The bans of clippy.toml exist so that everything else comes here.
#![allow(clippy::disallowed_methods)]

pub mod clock;
pub mod cpu;
pub mod device;
pub mod entropy;
pub mod executor;
mod network;
mod oneshot;
mod outside;
mod user;

pub use clock::{Clock, ManualClock, SystemClock};
pub use device::{
    BlockingDevice, Device, File, GlommioDevice, InjectedFault, IoBuf, IoFuture, MemoryDevice, OpenMode,
    SimulatedDevice, UringDevice, is_simulated_crash, open_disk, probe_io_uring,
};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use network::networks;
pub use outside::{InputFile, OutputFile};
pub use user::{name_of_user, user_name};
