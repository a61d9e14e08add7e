//! Lines from a script: a file or pipe on standard input, or a text.

use std::io::{self, BufRead};

use super::source::{Asked, Input, Source};

/// Lines without prompts.
pub struct ScriptSource<R> {
    reader: R,
}

impl<R: BufRead> ScriptSource<R> {
    pub fn new(reader: R) -> ScriptSource<R> {
        ScriptSource { reader }
    }
}

impl<R: BufRead> Source for ScriptSource<R> {
    fn read(&mut self, _asked: &Asked) -> io::Result<Input> {
        let mut bytes = Vec::new();
        if self.reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(Input::End);
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
        }
        // Text in another encoding becomes visible marks instead of ending the script.
        Ok(Input::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
