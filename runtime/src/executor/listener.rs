//! Listening sockets, and the thread that accepts from them.
//!
//! Addresses are bound through the standard library, before any worker starts: binding through
//! glommio sets SO_REUSEPORT, with which two servers share a port without noticing. One thread
//! accepts for all listeners and hands connections to the workers in turn, so that a busy worker
//! delays nobody's connecting, and both executors share the same path.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::socket::{Accepted, Family};
use super::timer::now;

/// Connections that may wait for being accepted; the kernel caps it at net.core.somaxconn.
const BACKLOG: libc::c_int = 1024;
/// How much of a client's first bytes is looked at before a worker gets them.
pub const GLANCE_BYTES: usize = 16;
/// How long the accepting thread waits for them, and for how many clients at a time.
const SILENCE: Duration = Duration::from_millis(250);
const SILENT_MAX: usize = 64;
/// The pause after running out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound listening socket. Dropping a Unix one removes its file.
pub struct Listener {
    socket: OwnedFd,
    address: ListenAddress,
    /// The device and inode of the socket file, so that only our own is removed.
    file: Option<(u64, u64)>,
}

/// Where a [`Listener`] listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A network address, with the port actually bound.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Listener {
    /// Listens on a network address; port 0 takes any free one.
    ///
    /// # Errors
    /// `AddrInUse` when the port is taken, or what the operating system says, naming the address.
    pub fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            let address = ListenAddress::Tcp(listener.local_addr()?);
            Listener::prepare(listener.into(), address, None)
        };
        bind().map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                let message = format!("cannot listen on {address}: another server listens there");
                io::Error::new(error.kind(), message)
            }
            kind => io::Error::new(kind, format!("cannot listen on {address}: {error}")),
        })
    }

    /// Listens on a Unix socket, whose file gets the permissions `mode` (such as `0o770`).
    ///
    /// A file left behind by a server that is gone is replaced: only a socket, and only after a
    /// connection to it was refused.
    ///
    /// # Errors
    /// `AddrInUse` when another server listens there, `AlreadyExists` when the path is no socket, or
    /// what the operating system says, naming the path.
    pub fn bind_unix(path: impl AsRef<Path>, mode: u32) -> io::Result<Listener> {
        let path = path.as_ref();
        let fail = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()))
        };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale_socket(path).map_err(fail)?;
                UnixListener::bind(path)
            }
            outcome => outcome,
        };
        let listener = listener.map_err(fail)?;
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail)?;
        let metadata = fs::symlink_metadata(path).map_err(fail)?;
        let file = Some((metadata.dev(), metadata.ino()));
        Listener::prepare(listener.into(), ListenAddress::Unix(path.to_owned()), file).map_err(fail)
    }

    fn prepare(socket: OwnedFd, address: ListenAddress, file: Option<(u64, u64)>) -> io::Result<Listener> {
        let listener = Listener { socket, address, file };
        let descriptor = listener.socket.as_raw_fd();
        // Listening again only changes the length of the queue.
        // SAFETY: a system call without pointers.
        if unsafe { libc::listen(descriptor, BACKLOG) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a system call without pointers.
        if unsafe { libc::fcntl(descriptor, libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(listener)
    }

    /// Where it listens.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    fn family(&self) -> Family {
        match self.address {
            ListenAddress::Tcp(_) => Family::Tcp,
            ListenAddress::Unix(_) => Family::Unix,
        }
    }

    /// The next connection, `None` when none is waiting.
    fn accept(&self) -> io::Result<Option<Accepted>> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let no_address = std::ptr::null_mut();
        // SAFETY: without an address to fill in, the kernel writes nothing.
        let accepted =
            unsafe { libc::accept4(self.socket.as_raw_fd(), no_address, std::ptr::null_mut(), flags) };
        if accepted < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        }
        // SAFETY: the system call just gave us this descriptor.
        let socket = unsafe { OwnedFd::from_raw_fd(accepted) };
        Ok(Some(Accepted { socket, family: self.family() }))
    }
}

fn remove_stale_socket(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Whoever removed it made way for us.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there")),
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (ListenAddress::Unix(path), Some(ours)) = (&self.address, self.file)
            && fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == ours)
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "the socket file was not removed");
        }
    }
}

/// The accepting thread; dropping it ends it and closes its listeners.
pub(super) struct Acceptor {
    /// Closing our end ends the thread's wait.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    pub(super) fn start(
        listeners: Vec<Listener>,
        glance: impl Fn(&[u8]) -> bool + Send + 'static,
        dispatch: impl Fn(Accepted) + Send + 'static,
    ) -> io::Result<Acceptor> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = crate::cpu::spawn_unpinned("helios-accept", move || {
            accept_all(&listeners, &stopped, &Reception { glance, dispatch })
        })?;
        Ok(Acceptor { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the accepting thread panicked");
        }
    }
}

/// What becomes of connections.
struct Reception<G, D> {
    glance: G,
    dispatch: D,
}

/// A connection that has said nothing yet.
struct Silent {
    accepted: Accepted,
    until: Instant,
}

impl<G: Fn(&[u8]) -> bool, D: Fn(Accepted)> Reception<G, D> {
    /// Looks at what a connection has said, and sends it on; it comes back where it has said nothing.
    fn receive(&self, accepted: Accepted) -> Option<Accepted> {
        let mut bytes = [0u8; GLANCE_BYTES];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        let descriptor = accepted.socket.as_raw_fd();
        // SAFETY: the pointer and length describe a live, writable array.
        let count = unsafe { libc::recv(descriptor, bytes.as_mut_ptr().cast(), bytes.len(), flags) };
        if count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
            return Some(accepted);
        }
        let said = &bytes[..usize::try_from(count).unwrap_or(0)];
        if !(self.glance)(said) {
            (self.dispatch)(accepted);
        }
        None
    }
}

fn accept_all<G: Fn(&[u8]) -> bool, D: Fn(Accepted)>(
    listeners: &[Listener],
    mut stopped: &UnixStream,
    reception: &Reception<G, D>,
) {
    let wish = |descriptor: RawFd| libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    let mut silent: Vec<Silent> = Vec::new();
    loop {
        let mut wishes = vec![wish(stopped.as_raw_fd())];
        wishes.extend(listeners.iter().map(|listener| wish(listener.socket.as_raw_fd())));
        wishes.extend(silent.iter().map(|each| wish(each.accepted.socket.as_raw_fd())));
        let patience = silent.iter().map(|each| each.until).min().map_or(-1, |until| {
            i32::try_from(until.saturating_duration_since(now()).as_millis() + 1).unwrap_or(i32::MAX)
        });
        // SAFETY: the pointer and length describe a live, writable array.
        let count = unsafe { libc::poll(wishes.as_mut_ptr(), wishes.len() as libc::nfds_t, patience) };
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                tracing::error!(%error, "waiting for connections failed");
                std::thread::sleep(PAUSE);
            }
            continue;
        }
        if wishes[0].revents != 0 {
            // The other end never writes, so that this is its closing.
            debug_assert!(stopped.read(&mut [0]).is_ok_and(|count| count == 0));
            return;
        }
        let moment = now();
        let spoke = wishes[1 + listeners.len()..].iter().map(|wish| wish.revents != 0);
        for (each, spoke) in std::mem::take(&mut silent).into_iter().zip(spoke) {
            if spoke {
                if let Some(accepted) = reception.receive(each.accepted) {
                    silent.push(Silent { accepted, until: each.until });
                }
            } else if each.until <= moment {
                (reception.dispatch)(each.accepted);
            } else {
                silent.push(each);
            }
        }
        for (listener, _) in listeners.iter().zip(&wishes[1..]).filter(|(_, wish)| wish.revents != 0) {
            accept_waiting(listener, &mut |accepted| {
                let Some(accepted) = reception.receive(accepted) else { return };
                if silent.len() < SILENT_MAX {
                    silent.push(Silent { accepted, until: moment + SILENCE });
                } else {
                    (reception.dispatch)(accepted);
                }
            });
        }
    }
}

/// Accepts what is waiting, a bounded number, so that other listeners get their turn.
fn accept_waiting(listener: &Listener, dispatch: &mut dyn FnMut(Accepted)) {
    for _ in 0..BACKLOG {
        match listener.accept() {
            Ok(Some(accepted)) => dispatch(accepted),
            Ok(None) => return,
            Err(error) => match error.raw_os_error() {
                // The peer was gone before we came, or a signal did.
                Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO) => {}
                _ => {
                    tracing::warn!(address = %listener.address, %error, "a connection could not be accepted");
                    std::thread::sleep(PAUSE);
                    return;
                }
            },
        }
    }
}
