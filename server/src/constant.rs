//! Answers without a database: every statement gives one row of one integer. Beside real ones they tell what the protocol costs alone.

use crate::connection::{Connection, Failure};
use crate::wire::{Input, Message};

const COLUMN: &str = "abalance";
const VALUE: &[u8] = b"0";
const INTEGER: u32 = 23;

impl Connection {
    /// Answers a message; whatever it says, it is read as it would be otherwise.
    pub(crate) fn answer_constantly(&mut self, input: &Input, message: &Message) -> Result<(), Failure> {
        let mut body = self.body(input, message);
        match message.kind {
            b'Q' => {
                body.string()?;
                self.describe_constant();
                self.give_constant();
                self.ready_for_query();
            }
            b'P' => {
                body.string()?;
                body.string()?;
                for _ in 0..body.count()? {
                    body.u32()?;
                }
                self.output.empty_message(b'1');
            }
            b'B' => {
                body.string()?;
                body.string()?;
                for _ in 0..body.count()? {
                    body.i16()?;
                }
                for _ in 0..body.count()? {
                    body.value()?;
                }
                self.output.empty_message(b'2');
            }
            b'D' => self.describe_constant(),
            b'E' => {
                body.string()?;
                body.i32()?;
                self.give_constant();
            }
            b'C' => self.output.empty_message(b'3'),
            _ => self.output.want_flush(),
        }
        Ok(())
    }

    fn describe_constant(&mut self) {
        let message = self.output.begin(b'T');
        self.output.i16(1);
        self.output.string(COLUMN);
        self.output.u32(0);
        self.output.i16(0);
        self.output.u32(INTEGER);
        self.output.i16(4);
        self.output.i32(-1);
        self.output.i16(0);
        self.output.end(message);
    }

    fn give_constant(&mut self) {
        let message = self.output.begin(b'D');
        self.output.i16(1);
        self.output.i32(VALUE.len() as i32);
        self.output.bytes(VALUE);
        self.output.end(message);
        self.output.command_complete("SELECT 1");
    }
}
