//! A server over a database in memory, on a free port, for one test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use helios_runtime::executor::{ListenAddress, StopToken};
use helios_server::{Server, ServerOptions};
use heliosdb_nano::EmbeddedDatabase;

/// A running server; dropping it stops it.
pub struct TestServer {
    pub address: SocketAddr,
    stop: StopToken,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut ServerOptions)) -> TestServer {
        TestServer::over(change, |_| {})
    }

    /// Over a database that was prepared.
    pub fn over(
        change: impl FnOnce(&mut ServerOptions),
        prepare: impl FnOnce(&EmbeddedDatabase),
    ) -> TestServer {
        let mut options = ServerOptions { port: 0, workers: Some(1), ..ServerOptions::default() };
        options.stop_patience = Duration::from_secs(2);
        change(&mut options);
        let server = Server::bind(options).expect("a free port");
        let address = match server.addresses().first() {
            Some(ListenAddress::Tcp(address)) => *address,
            other => panic!("not a TCP address: {other:?}"),
        };
        let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
        prepare(&database);
        let stop = StopToken::new();
        let given = stop.clone();
        let thread = std::thread::spawn(move || server.serve(database.engine().clone(), &given));
        TestServer { address, stop, thread: Some(thread) }
    }

    /// Stops the server and waits for its end.
    pub fn stop(mut self) {
        self.end();
    }

    /// Gives the stop signal.
    pub fn signal(&self) {
        self.stop.stop();
    }

    fn end(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic").expect("the server runs");
        }
    }

    /// A raw connection after its startup, up to the first ReadyForQuery.
    pub fn connect(&self) -> Wire {
        let mut wire = self.dial();
        wire.send(&startup(&[("user", "postgres"), ("database", "postgres")]));
        assert_eq!(wire.until_ready().last().map(|message| message.kind), Some('Z'));
        wire
    }

    /// A raw connection without any startup.
    pub fn dial(&self) -> Wire {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        Wire { stream }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub kind: char,
    pub body: Vec<u8>,
}

impl Answer {
    /// A field of an ErrorResponse or NoticeResponse.
    pub fn field(&self, code: u8) -> String {
        let fields = self.body.split(|byte| *byte == 0);
        let mut found = fields.filter_map(|field| field.split_first()).filter(|(kind, _)| **kind == code);
        found.next().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    }

    /// A short form: the kind, and for errors severity, SQLSTATE and message, for tags and states their text.
    pub fn short(&self) -> String {
        let text = || String::from_utf8_lossy(&self.body).trim_end_matches('\0').to_owned();
        match self.kind {
            'E' => format!("E {} {} {}", self.field(b'S'), self.field(b'C'), self.field(b'M')),
            'C' | 'Z' => format!("{} {}", self.kind, text()),
            kind => kind.to_string(),
        }
    }
}

/// The short forms of answers, one a line.
pub fn short(answers: &[Answer]) -> Vec<String> {
    answers.iter().map(Answer::short).collect()
}

/// A raw connection.
pub struct Wire<S = TcpStream> {
    pub stream: S,
}

impl<S: Read + Write> Wire<S> {
    /// How many bytes come next, whatever they are; 0 at the end.
    pub fn answer_bytes(&mut self) -> usize {
        self.stream.read(&mut [0; 256]).unwrap_or(0)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes input");
    }

    pub fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("an answer");
        byte[0]
    }

    /// The next answer; `None` when the server has closed the connection.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut head = [0; 5];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer in time"),
            Err(_) => return None,
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).expect("a whole answer");
        Some(Answer { kind: char::from(head[0]), body })
    }

    /// All answers up to ReadyForQuery, or the connection's end.
    pub fn until_ready(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer() {
            let is_last = answer.kind == 'Z';
            answers.push(answer);
            if is_last {
                break;
            }
        }
        answers
    }

    /// Sends, and gives the short forms of the answers.
    pub fn ask(&mut self, bytes: &[u8]) -> Vec<String> {
        self.send(bytes);
        short(&self.until_ready())
    }
}

/// A startup packet of protocol 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = (3_u32 << 16).to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// A message.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}
