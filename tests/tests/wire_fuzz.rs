//! Clients that speak nonsense: recorded conversations (`tests/protocol`), changed at random from a seed, against a real
//! server over real sockets, before and after authentication.
//!
//! 1. Nothing panics, and each connection comes to its end in time once its client says no more.
//! 2. Who has not shown who it is gets no answer to anything.
//! 3. Well-behaved clients are served all the while, and memory is what it was when the server is gone.
//!
//! 20,000 messages, a million with `tests/run --all`. A failure names the seed of its stream: `STREAM_SEED=… cargo test`
//! sends that stream alone.
#![allow(clippy::disallowed_methods)] // it reads the tests' files and speaks through sockets of its own

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use helios_server::{Authentication, ServerOptions, TlsFiles};
use helios_tests::TestServer;
use helios_tests::protocol::{Dice, Server, client_bytes, message, mutate, play, startup};

/// How long a connection may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// A server serves so many streams of each kind.
const STREAMS_A_SERVER: usize = 500;
/// What memory may differ by from one server to the next.
const GROWTH_MAX: usize = 48 << 20;

static PANICS: AtomicUsize = AtomicUsize::new(0);

type Stream = Vec<Vec<u8>>;

/// What clients say after they are in, by recorded conversation.
fn recorded() -> Vec<Stream> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).expect("readable UTF-8"));
    let streams = texts.flat_map(|text| client_bytes(&text).expect("valid").into_values());
    // A client that is gone does not end what sleeps.
    let sleeps = |message: &Vec<u8>| message.windows(8).any(|window| window == b"pg_sleep");
    streams.filter(|stream| !stream.iter().any(sleeps)).collect()
}

/// What clients say before they are in.
fn introductions() -> Vec<Stream> {
    let begin =
        startup(3 << 16, &[("user", "postgres"), ("database", "postgres"), ("options", "-c geqo=on")]);
    let first = b"n,,n=,r=rOprNGfwEbeRWgbNEkqO";
    let mut initial = b"SCRAM-SHA-256\0".to_vec();
    initial.extend([&[0, 0, 0, first.len() as u8], &first[..]].concat());
    let ssl = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f].to_vec();
    let gssenc = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30].to_vec();
    let cancel = [0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 1].to_vec();
    let last = message(b'p', b"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let query = message(b'Q', b"SELECT 'secret'\0");
    vec![
        vec![begin.clone(), message(b'p', &initial), last, query.clone()],
        vec![gssenc, ssl.clone(), begin.clone(), query.clone()],
        vec![ssl, begin.clone(), query.clone()],
        vec![begin, query.clone(), query.clone()],
        vec![cancel, query],
    ]
}

/// How a stream's client was answered.
struct Told {
    bytes: Vec<u8>,
    seed: u64,
    stream: Stream,
}

impl Told {
    fn fail(&self, why: &str) -> ! {
        let sent: Vec<String> =
            self.stream.iter().map(|message| message.escape_ascii().to_string()).collect();
        panic!(
            "STREAM_SEED={}: {why}\nsent:\n{}\ngot: {}",
            self.seed,
            sent.join("\n"),
            self.bytes.escape_ascii()
        );
    }

    /// The kinds of the messages, behind the answers to requests for encryption.
    fn kinds(&self) -> Vec<u8> {
        let mut rest = self.bytes.as_slice();
        let mut kinds = Vec::new();
        while let [b'N' | b'S', after @ ..] = rest {
            rest = after;
        }
        while let [kind, a, b, c, d, after @ ..] = rest {
            kinds.push(*kind);
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            rest = after.get(length.saturating_sub(4)..).unwrap_or_default();
        }
        kinds
    }
}

/// Sends a stream and says no more; gives all that comes back up to the end.
fn tell(address: SocketAddr, stream: Stream, seed: u64, dice: &mut Dice) -> Told {
    let mut told = Told { bytes: Vec::new(), seed, stream };
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let bytes = told.stream.concat();
    // In pieces that end anywhere.
    let piece = 1 + dice.below(bytes.len().max(64));
    for piece in bytes.chunks(piece) {
        if socket.write_all(piece).is_err() {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
    match socket.read_to_end(&mut told.bytes) {
        Ok(_) => told,
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => told,
        Err(error) => told.fail(&format!("the connection does not end: {error}")),
    }
}

/// A client as it should be finds everything as it should be.
fn check_served(server: &TestServer) {
    let text = "> Startup 3.0 user postgres\n> Query \"SELECT 'served'\"\n";
    let played = play(text, &Server::Tcp(server.address)).expect("an answer in time");
    assert!(played.contains("DataRow [\"served\"]"), "{played}");
}

/// A server whose statements end in time.
fn server(change: impl FnOnce(&mut ServerOptions)) -> TestServer {
    let server = TestServer::over(change, |database| {
        database.set_first_password("only the owner knows")?;
        database.execute("ALTER ROLE postgres SET statement_timeout = '2s'").map(drop)
    });
    server.expect("a server")
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("readable");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}

/// One stream after authentication and one before; gives the number of their messages.
fn attack(
    (open, guarded, encrypted): (&TestServer, &TestServer, &TestServer),
    (recorded, introductions): (&[Stream], &[Stream]),
    seed: u64,
) -> usize {
    let mut dice = Dice::new(seed);
    let mut stream = recorded[dice.below(recorded.len())].clone();
    // Who never comes in finds nothing to break: the first message stays, mostly.
    let introduction = if dice.below(8) > 0 { vec![stream.remove(0)] } else { Vec::new() };
    mutate(&mut stream, recorded, &mut dice);
    let stream = [introduction, stream].concat();
    let mut count = stream.len();
    tell(open.address, stream, seed, &mut dice);

    let mut stream = introductions[dice.below(introductions.len())].clone();
    mutate(&mut stream, introductions, &mut dice);
    count += stream.len();
    for server in [guarded, encrypted] {
        let told = tell(server.address, stream.clone(), seed, &mut dice);
        if told.kinds().iter().any(|kind| b"ZTDCK1".contains(kind)) {
            told.fail("somebody who is nobody is answered");
        }
    }
    if PANICS.load(Ordering::SeqCst) > 0 {
        panic!("STREAM_SEED={seed} panics the server");
    }
    count
}

#[test]
fn nonsense_hurts_nobody() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        hook(info);
    }));
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = number("STREAM_SEED");
    let is_long = std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true");
    let messages_wanted = if is_long { 1_000_000 } else { 20_000 };
    let (recorded, introductions) = (recorded(), introductions());
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/server/tls");
    let files =
        TlsFiles { certificate: tls.join("certificate.pem"), key: tls.join("key.pem"), authorities: None };
    let (mut seed, mut messages, mut resident) = (only.unwrap_or(1), 0, Vec::new());
    while messages < messages_wanted {
        let open = server(|_| {});
        let guarded = server(|options| options.authentication = Authentication::ScramSha256);
        let encrypted = server(|options| {
            options.authentication = Authentication::ScramSha256;
            options.tls = Some(files.clone());
        });
        for _ in 0..STREAMS_A_SERVER {
            messages += attack((&open, &guarded, &encrypted), (&recorded, &introductions), seed);
            if only.is_some() {
                return;
            }
            seed += 1;
            if seed.is_multiple_of(100) {
                check_served(&open);
            }
        }
        check_served(&open);
        drop((open, guarded, encrypted));
        resident.push(resident_bytes());
    }
    // What the first server's end left over is what each one's leaves.
    let (first, last) = (resident[0], resident[resident.len() - 1]);
    assert!(last < first + GROWTH_MAX, "resident memory grows: {resident:?}");
}
