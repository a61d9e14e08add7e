//! A raw connection to a server, which knows what the messages that were sent ask for.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::client::{Answer, ClientMessage};
use super::server::ServerMessage;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a server is reached.
#[derive(Clone, Debug)]
pub enum Server {
    Tcp(SocketAddr),
    /// The folder of its socket on port 5432.
    Unix(PathBuf),
}

/// Bytes both ways.
trait Channel: Read + Write {}
impl<T: Read + Write> Channel for T {}

/// A connection.
pub struct Connection {
    channel: Box<dyn Channel>,
    /// What was asked for and has not come yet.
    wanted: VecDeque<Answer>,
    /// The server waits for the data of a COPY, which is not among what was sent.
    is_copying: bool,
    /// What was sent last ends a COPY.
    ends_copy: bool,
    is_closed: bool,
    /// Its number and secret, once the server has told them.
    pub key: Option<(i32, u32)>,
}

/// What comes from a server.
enum Heard {
    Message(ServerMessage),
    Byte(u8),
    Closed,
}

impl Connection {
    /// Opens a connection; nothing is said yet.
    ///
    /// # Errors
    /// Those of connecting.
    #[allow(clippy::disallowed_methods)] // a client is another process's business
    pub fn open(server: &Server) -> io::Result<Connection> {
        let channel: Box<dyn Channel> = match server {
            Server::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Server::Unix(folder) => {
                let stream = UnixStream::connect(folder.join(".s.PGSQL.5432"))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
        };
        Ok(Connection {
            channel,
            wanted: VecDeque::new(),
            is_copying: false,
            ends_copy: false,
            is_closed: false,
            key: None,
        })
    }

    /// Sends messages in one piece.
    ///
    /// # Errors
    /// Those of writing; a connection that the server has closed takes everything.
    pub fn send(&mut self, messages: &[ClientMessage]) -> io::Result<()> {
        self.ends_copy = messages.iter().any(|message| message.ends_copy);
        self.is_copying &= !self.ends_copy;
        for message in messages {
            if message.answer != Answer::None {
                self.wanted.push_back(message.answer);
            }
        }
        let bytes: Vec<u8> = messages.iter().flat_map(|message| message.bytes.iter().copied()).collect();
        match self.channel.write_all(&bytes) {
            Err(error) if is_gone(&error) => Ok(()),
            outcome => outcome,
        }
    }

    /// Reads all that was asked for; gives it as lines.
    ///
    /// # Errors
    /// Those of reading; `TimedOut` where it does not come.
    pub fn read_answers(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut is_open = true;
        while is_open && !self.wanted.is_empty() && !self.is_copying {
            let line = match self.hear()? {
                Heard::Byte(byte) => {
                    self.wanted.pop_front();
                    format!("Encryption {}", char::from(byte))
                }
                Heard::Closed => "Closed".to_string(),
                Heard::Message(message) => {
                    is_open = !asks_for_proof(&message);
                    self.note(&message);
                    message.line()
                }
            };
            lines.push(line);
        }
        Ok(lines)
    }

    /// Reads up to a message of this name, or the end.
    ///
    /// # Errors
    /// As of [`Connection::read_answers`].
    pub fn read_until(&mut self, name: &str) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let Heard::Message(message) = self.hear()? else {
                lines.push("Closed".to_string());
                return Ok(lines);
            };
            self.note(&message);
            lines.push(message.line());
            if message.name() == name {
                return Ok(lines);
            }
        }
    }

    /// The next message of the server; `None` at the end.
    ///
    /// # Errors
    /// As of [`Connection::read_answers`].
    pub fn next_message(&mut self) -> io::Result<Option<ServerMessage>> {
        Ok(match self.hear()? {
            Heard::Message(message) => Some(message),
            Heard::Byte(_) | Heard::Closed => None,
        })
    }

    fn hear(&mut self) -> io::Result<Heard> {
        if self.is_closed {
            return Ok(Heard::Closed);
        }
        let mut kind = [0];
        if !self.fill(&mut kind)? {
            return Ok(Heard::Closed);
        }
        if self.wanted.front() == Some(&Answer::Byte) && kind[0] != b'E' {
            return Ok(Heard::Byte(kind[0]));
        }
        let mut length = [0; 4];
        if !self.fill(&mut length)? {
            return Ok(Heard::Closed);
        }
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        let length = length.checked_sub(4).ok_or_else(|| io::Error::other("a message without a length"))?;
        let mut body = vec![0; length];
        if !self.fill(&mut body)? {
            return Ok(Heard::Closed);
        }
        Ok(Heard::Message(ServerMessage { kind: kind[0], body }))
    }

    /// Fills a buffer; false at the connection's end.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        match self.channel.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => {
                self.is_closed = true;
                self.wanted.clear();
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        }
    }

    /// Takes what has come from what was asked for.
    fn note(&mut self, message: &ServerMessage) {
        self.key = message.backend_key().or(self.key);
        match (message.kind, self.wanted.front()) {
            (b'Z', Some(Answer::Ready | Answer::Synchronized)) => {
                self.is_copying = false;
                self.wanted.pop_front();
            }
            (b'G', _) => self.is_copying = !self.ends_copy,
            // Everything up to Sync is skipped.
            (b'E', Some(Answer::OneOf(_))) => {
                while self.wanted.front().is_some_and(|answer| *answer != Answer::Synchronized) {
                    self.wanted.pop_front();
                }
            }
            (kind, Some(Answer::OneOf(kinds))) if kinds.contains(&kind) => {
                self.wanted.pop_front();
            }
            _ => {}
        }
    }
}

/// Whether the server waits for the client to show who it is.
fn asks_for_proof(message: &ServerMessage) -> bool {
    message.authentication().is_some_and(|kind| !matches!(kind, 0 | 12))
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof)
}
