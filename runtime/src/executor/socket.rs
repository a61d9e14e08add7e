//! Connected sockets, the same over TCP and Unix sockets.

use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use super::epoll::EpollStream;
use super::worker::with_current;

/// Seconds of silence before the kernel asks a TCP peer whether it is still there, between
/// questions, and questions before it gives up.
const KEEPALIVE_IDLE: libc::c_int = 60;
const KEEPALIVE_INTERVAL: libc::c_int = 10;
const KEEPALIVE_COUNT: libc::c_int = 6;

/// Who is at the other end of a [`Socket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address of the network.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix(UnixCredentials),
}

/// What the kernel vouches for about the process that connected (SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixCredentials {
    /// The process number.
    pub process_id: i32,
    /// The effective user number.
    pub user_id: u32,
    /// The effective group number.
    pub group_id: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Tcp,
    Unix,
}

/// A connection just accepted, on its way to a worker.
pub(super) struct Accepted {
    pub(super) socket: OwnedFd,
    pub(super) family: Family,
}

/// A connection, bound to the worker that accepted it.
///
/// It reads and writes through futures-lite's traits; `poll_close` shuts down writing, dropping it
/// closes it. TCP sockets have NODELAY and keepalive set.
pub struct Socket {
    stream: EpollStream,
    peer: Peer,
    local: Option<SocketAddr>,
}

impl Accepted {
    /// Binds the connection to the worker whose thread this is.
    pub(super) fn bind(self) -> io::Result<Socket> {
        let mut local = None;
        let peer = match self.family {
            Family::Tcp => {
                let descriptor = self.socket.as_raw_fd();
                // SAFETY: only borrowed: `ManuallyDrop` leaves closing it to its owner.
                let tcp = ManuallyDrop::new(unsafe { std::net::TcpStream::from_raw_fd(descriptor) });
                tcp.set_nodelay(true)?;
                set_keepalive(descriptor)?;
                local = Some(tcp.local_addr()?);
                Peer::Tcp(tcp.peer_addr()?)
            }
            Family::Unix => Peer::Unix(credentials(self.socket.as_raw_fd())?),
        };
        let reactor = with_current(|worker| worker.reactor.clone()).expect("sockets belong to workers");
        Ok(Socket { stream: EpollStream::new(self.socket, reactor)?, peer, local })
    }
}

fn set_keepalive(descriptor: RawFd) -> io::Result<()> {
    set_option(descriptor, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_option(descriptor, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, KEEPALIVE_IDLE)?;
    set_option(descriptor, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, KEEPALIVE_INTERVAL)?;
    set_option(descriptor, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, KEEPALIVE_COUNT)
}

fn set_option(descriptor: RawFd, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one integer during the call.
    let outcome = unsafe { libc::setsockopt(descriptor, level, option, (&raw const value).cast(), size) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn credentials(descriptor: RawFd) -> io::Result<UnixCredentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: the kernel writes at most `size` bytes, the size of the structure.
    let outcome = unsafe { libc::getsockopt(descriptor, level, option, (&raw mut found).cast(), &mut size) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(UnixCredentials { process_id: found.pid, user_id: found.uid, group_id: found.gid })
}

/// Tells whether a socket's peer has closed its end, from any thread and without reading. It is asked only while the
/// socket lives; later its answer means nothing, though asking does no harm.
#[derive(Clone, Copy, Debug)]
pub struct HangUp(RawFd);

impl HangUp {
    /// Whether the peer sends nothing more.
    pub fn has_happened(self) -> bool {
        let mut wish = libc::pollfd { fd: self.0, events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: the pointer describes one live, writable element.
        let count = unsafe { libc::poll(&raw mut wish, 1, 0) };
        count == 1 && wish.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }
}

impl Socket {
    /// What tells whether the peer is gone.
    pub fn hang_up(&self) -> HangUp {
        HangUp(self.stream.descriptor())
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The address of this end, where it is one of the network.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(context, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(context, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is held back.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shut_down_writing())
    }
}
