//! Shows that both executors serve sockets, timers and wakes from other threads alike, stop in an
//! orderly way, and refuse addresses that are taken.

// Clients of the executors are plain threads and sockets of the system.
#![allow(clippy::disallowed_methods)]

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use helios_runtime::executor::*;

const ANY_PORT: &str = "127.0.0.1:0";
const PATIENCE: Duration = Duration::from_secs(10);

/// Both kinds, or epoll alone where the system has no io_uring for us.
fn kinds() -> Vec<ExecutorKind> {
    let mut kinds = vec![ExecutorKind::Glommio, ExecutorKind::Epoll];
    kinds.retain(|kind| {
        Executor::start(ExecutorOptions { workers: 1, kind: *kind, pin: None })
            .inspect_err(|error| {
                // Not where the test's output is caught.
                let _ = writeln!(io::stderr(), "skipped: executors over {kind:?}: {error}");
            })
            .is_ok()
    });
    assert!(kinds.contains(&ExecutorKind::Epoll));
    kinds
}

fn start(kind: ExecutorKind, workers: usize) -> Executor {
    let executor = Executor::start(ExecutorOptions { workers, kind, pin: None }).unwrap();
    assert_eq!((executor.kind(), executor.workers()), (kind, workers));
    executor
}

fn tcp(address: &str) -> io::Result<Listener> {
    Listener::bind_tcp(address.parse().unwrap())
}

fn tcp_address(listener: &Listener) -> SocketAddr {
    match listener.address() {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(path) => panic!("{} is no network address", path.display()),
    }
}

async fn echo(mut socket: Socket) {
    let mut buf = [0; 1024];
    while let Ok(count) = socket.read(&mut buf).await {
        if count == 0 || socket.write_all(&buf[..count]).await.is_err() {
            break;
        }
    }
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// 200 connections, open at once, half over TCP and half over a Unix socket, each of several rounds;
/// a large transfer that fills the socket's buffers; every worker got its share.
#[test]
fn echo_over_both_families() {
    for kind in kinds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listeners = vec![tcp(ANY_PORT).unwrap(), Listener::bind_unix(&path, 0o600).unwrap()];
        let address = tcp_address(&listeners[0]);
        let executor = start(kind, 2);
        let served: Arc<[AtomicUsize; 2]> = Arc::default();
        let counts = served.clone();
        let handler = move |socket: Socket| {
            counts[current_worker().unwrap()].fetch_add(1, Ordering::Relaxed);
            match socket.peer() {
                Peer::Tcp(peer) => assert!(peer.ip().is_loopback()),
                Peer::Unix(peer) => assert_eq!(peer.process_id, std::process::id() as i32),
            }
            echo(socket)
        };
        executor.serve(listeners, |_| false, handler).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let mut connections: Vec<Box<dyn Connection>> = Vec::new();
        for index in 0..200 {
            connections.push(match index % 2 {
                0 => Box::new(TcpStream::connect(address).unwrap()),
                _ => Box::new(UnixStream::connect(&path).unwrap()),
            });
        }
        for round in 0..5 {
            for (index, connection) in connections.iter_mut().enumerate() {
                connection.write_all(format!("{round} {index:>5}").as_bytes()).unwrap();
            }
            for (index, connection) in connections.iter_mut().enumerate() {
                let mut answer = [0; 7];
                connection.read_exact(&mut answer).unwrap();
                assert_eq!(answer, format!("{round} {index:>5}").as_bytes());
            }
        }
        transfer_much(TcpStream::connect(address).unwrap());
        drop(connections);
        assert_eq!(executor.stop(PATIENCE), 0, "closed connections end their tasks");
        let served = served.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(served.iter().sum::<usize>(), 201);
        assert!(served.iter().all(|count| *count >= 100), "{served:?}");
        assert!(!path.exists(), "the socket file is removed");
    }
}

fn transfer_much(stream: TcpStream) {
    const BYTES: usize = 16 << 20;
    let mut writer = stream.try_clone().unwrap();
    let thread = std::thread::spawn(move || {
        let chunk: Vec<u8> = (0..1 << 16).map(|index| (index % 251) as u8).collect();
        for _ in 0..BYTES / chunk.len() {
            writer.write_all(&chunk).unwrap();
        }
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    (&stream).read_to_end(&mut received).unwrap();
    thread.join().unwrap();
    assert_eq!(received.len(), BYTES);
    let expected = |index: usize| ((index % (1 << 16)) % 251) as u8;
    assert!(received.iter().enumerate().all(|(index, byte)| *byte == expected(index)));
}

/// Tasks that need not be `Send` share state on their worker; their outcomes are awaited elsewhere;
/// a panic ends one task only.
#[test]
fn local_tasks() {
    for kind in kinds() {
        let executor = start(kind, 2);
        let handle = executor.spawn_on(1, || async {
            assert_eq!(current_worker(), Some(1));
            let sum = Rc::new(Cell::new(0));
            let children: Vec<_> = (0..100)
                .map(|number| {
                    let sum = sum.clone();
                    spawn_local(async move {
                        futures_lite::future::yield_now().await;
                        sum.set(sum.get() + number);
                    })
                })
                .collect();
            for child in children {
                child.await.unwrap();
            }
            sum.get()
        });
        assert_eq!(block_on(handle), Some(4950));
        let panicking = executor.spawn_on(0, || async { panic!("this task is meant to panic") });
        assert_eq!(block_on(panicking), None);
        assert_eq!(block_on(executor.spawn_on(0, || async { 7 })), Some(7));
        assert_eq!(current_worker(), None);
        assert_eq!(executor.stop(PATIENCE), 0);
    }
}

/// 100,000 wakes of one task from four threads, while its worker is blocked and cannot take any of
/// them, and as many while it runs: none is fatal and the last is not lost.
#[test]
fn foreign_wakes() {
    const WAKES: usize = 25_000;
    for kind in kinds() {
        let executor = start(kind, 1);
        for is_blocked in [true, false] {
            let (send, receive) = std::sync::mpsc::channel::<Waker>();
            let count = Arc::new(AtomicUsize::new(0));
            let seen = count.clone();
            let waiting = executor.spawn_on(0, move || {
                let mut is_sent = false;
                poll_fn(move |context| {
                    if !is_sent {
                        send.send(context.waker().clone()).unwrap();
                        is_sent = true;
                    }
                    let all = seen.load(Ordering::SeqCst) == 4 * WAKES;
                    if all { Poll::Ready(()) } else { Poll::Pending }
                })
            });
            let waker = receive.recv().unwrap();
            let release = Arc::new(AtomicBool::new(!is_blocked));
            let released = release.clone();
            let blocking = executor.spawn_on(0, move || async move {
                while !released.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..WAKES {
                            count.fetch_add(1, Ordering::SeqCst);
                            waker.wake_by_ref();
                        }
                    });
                }
            });
            release.store(true, Ordering::SeqCst);
            assert_eq!(block_on(timeout(PATIENCE, waiting)), Ok(Some(())));
            block_on(blocking).unwrap();
        }
        assert_eq!(executor.stop(PATIENCE), 0);
    }
}

/// Executors started and stopped side by side, on a machine kept busy by them, all come to an end.
#[test]
fn start_and_stop_under_load() {
    for kind in kinds() {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..30 {
                        let executor = start(kind, 1);
                        assert_eq!(block_on(executor.spawn(|| async { 7 })), Some(7));
                    }
                });
            }
        });
    }
}

/// Timers fire in order and not early, on workers, on background threads and on the caller's own.
#[test]
fn timers() {
    async fn check() {
        let start = Instant::now();
        let (first, second) = (sleep(Duration::from_millis(40)), sleep(Duration::from_millis(20)));
        second.await;
        assert!(start.elapsed() >= Duration::from_millis(20));
        first.await;
        assert!(start.elapsed() >= Duration::from_millis(40));
        assert!(start.elapsed() < Duration::from_secs(5));
        let never = std::future::pending::<()>();
        assert_eq!(timeout(Duration::from_millis(5), never).await, Err(TimedOut));
        assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
        let long = timeout(Duration::MAX, sleep(Duration::from_millis(1)));
        assert_eq!(long.await, Ok(()));
    }
    block_on(check());
    for kind in kinds() {
        let executor = start(kind, 1);
        block_on(executor.spawn(check)).unwrap();
        // Left over timers do not keep the executor.
        drop(executor.spawn(|| sleep(Duration::from_secs(3600))));
        assert_eq!(executor.stop(Duration::from_millis(10)), 1);
    }
    let background = BackgroundExecutor::start(1).unwrap();
    block_on(background.spawn(check())).unwrap();
    assert_eq!(background.stop(PATIENCE), 0);
}

/// Stopping refuses new connections at once, gives tasks the time they need, and drops those that
/// do not end.
#[test]
fn graceful_stop() {
    for kind in kinds() {
        let listener = tcp(ANY_PORT).unwrap();
        let address = tcp_address(&listener);
        let executor = start(kind, 2);
        let token = executor.stop_token();
        executor
            .serve(
                vec![listener],
                |_| false,
                move |mut socket| {
                    let token = token.clone();
                    async move {
                        socket.write_all(b"hello").await.unwrap();
                        token.stopped().await;
                        sleep(Duration::from_millis(50)).await;
                        socket.write_all(b"goodbye").await.unwrap();
                    }
                },
            )
            .unwrap();
        let mut clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
        for client in &mut clients {
            client.read_exact(&mut [0; 5]).unwrap();
        }
        struct Dropped(Arc<AtomicBool>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                assert_eq!(current_worker(), Some(1), "a task is dropped on its worker");
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicBool::new(false));
        let guard = Dropped(dropped.clone());
        let stubborn = executor.spawn_on(1, || async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        let start = Instant::now();
        assert_eq!(executor.stop(Duration::from_millis(500)), 1);
        assert!(start.elapsed() >= Duration::from_millis(500) && start.elapsed() < PATIENCE);
        assert_eq!((block_on(stubborn), dropped.load(Ordering::SeqCst)), (None, true));
        for client in &mut clients {
            let mut rest = String::new();
            client.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "goodbye");
        }
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}

/// A port that is taken is told, by number.
#[test]
fn taken_port() {
    let listener = tcp(ANY_PORT).unwrap();
    let address = tcp_address(&listener).to_string();
    let error = tcp(&address).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address), "{error}");
    drop(listener);
    tcp(&address).unwrap();
}

/// A stale socket file is replaced; a live one and a file of another kind are left alone.
#[test]
fn stale_socket_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the standard library leaves the file");
    let listener = Listener::bind_unix(&path, 0o600).unwrap();
    let error = Listener::bind_unix(&path, 0o600).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    // Replaced behind our back: not ours to remove.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"precious").unwrap();
    drop(listener);
    let error = Listener::bind_unix(&path, 0o600).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

/// Background tasks run side by side on their threads, survive each other's panics, and those that
/// do not end are dropped at the stop.
#[test]
fn background_tasks() {
    let background = BackgroundExecutor::start(2).unwrap();
    let total = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..100)
        .map(|number| {
            let total = total.clone();
            background.spawn(async move {
                sleep(Duration::from_millis(number % 7)).await;
                total.fetch_add(1, Ordering::SeqCst);
                number
            })
        })
        .collect();
    for (number, handle) in (0..).zip(handles) {
        assert_eq!(block_on(handle), Some(number));
    }
    let panicking = background.spawn(async { panic!("this task is meant to panic") });
    assert_eq!(block_on(panicking), None);
    let token = background.stop_token();
    drop(background.spawn(async move { token.stopped().await }));
    let pending = background.spawn(std::future::pending::<()>());
    assert_eq!(background.tasks(), 2);
    assert_eq!(background.stop(Duration::from_millis(50)), 1);
    assert_eq!((block_on(pending), total.load(Ordering::SeqCst)), (None, 100));
}

/// Without a wish glommio is chosen where it works, else epoll.
#[test]
fn automatic_choice() {
    let executor = Executor::start(ExecutorOptions { workers: 1, ..ExecutorOptions::default() }).unwrap();
    assert_eq!(executor.kind(), kinds()[0]);
    let none = Executor::start(ExecutorOptions { workers: 0, ..ExecutorOptions::default() });
    assert_eq!(none.err().unwrap().kind(), io::ErrorKind::InvalidInput);
}
