//! Lines from a terminal, with editing and history.
//!
//! A statement is edited as a whole: Enter ends it where a semicolon does, else it begins its next line. Ctrl-C
//! drops what was typed; while a statement runs, it cancels that.

use std::borrow::Cow;
use std::env;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heliosdb_nano::connection::CancelHandle;
use reedline::{
    FileBackedHistory, Prompt, PromptEditMode, PromptHistorySearch, Reedline, Signal, ValidationResult,
    Validator,
};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use super::source::{Asked, Input, Source};
use super::splitter::Splitter;

const HISTORY_LINES_MAX: usize = 10_000;
const MORE: &str = "heliosdb-> ";

/// A terminal.
pub struct TerminalSource {
    editor: Reedline,
    /// Whether COPY data is typed: every line is complete then.
    takes_data: Arc<AtomicBool>,
}

impl TerminalSource {
    /// An editor with the user's history.
    pub fn new() -> TerminalSource {
        let takes_data = Arc::new(AtomicBool::new(false));
        let validator = StatementValidator { takes_data: takes_data.clone() };
        let mut editor = Reedline::create().with_validator(Box::new(validator)).with_ansi_colors(false);
        // Without a place to keep it, the history lasts as long as the shell.
        let history =
            history_path().and_then(|path| FileBackedHistory::with_file(HISTORY_LINES_MAX, path).ok());
        if let Some(history) = history.or_else(|| FileBackedHistory::new(HISTORY_LINES_MAX).ok()) {
            editor = editor.with_history(Box::new(history));
        }
        TerminalSource { editor, takes_data }
    }
}

/// `$HELIOSDB_HISTORY`, or a file in the user's folder for such things.
fn history_path() -> Option<PathBuf> {
    if let Some(path) = env::var_os("HELIOSDB_HISTORY") {
        return Some(path.into());
    }
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    Some(state.join("heliosdb-nano").join("history"))
}

impl Source for TerminalSource {
    fn read(&mut self, asked: &Asked) -> io::Result<Input> {
        self.takes_data.store(*asked == Asked::Data, Ordering::Relaxed);
        let prompt = match asked {
            Asked::Statement { prompt } | Asked::More { prompt } => prompt.clone(),
            Asked::Data => "copy> ".into(),
        };
        Ok(match self.editor.read_line(&ShellPrompt { prompt })? {
            Signal::Success(text) => Input::Text(text),
            Signal::CtrlC => Input::Interrupted,
            Signal::CtrlD => Input::End,
        })
    }

    #[allow(clippy::disallowed_methods)] // signals come to a thread that does nothing else, outside of any executor
    fn cancels(&mut self, handle: CancelHandle) {
        // Where no handler can be had, Ctrl-C ends the shell as it ends other programs.
        let Ok(mut signals) = Signals::new([SIGINT]) else { return };
        let watch = move || signals.forever().for_each(|_| handle.cancel());
        // Without the thread, Ctrl-C does nothing while a statement runs; the shell is usable all the same.
        let _ = std::thread::Builder::new().name("helios-interrupts".into()).spawn(watch);
    }
}

/// Says whether what was typed can be run.
struct StatementValidator {
    takes_data: Arc<AtomicBool>,
}

impl Validator for StatementValidator {
    fn validate(&self, text: &str) -> ValidationResult {
        let mut splitter = Splitter::default();
        let mut has_command = false;
        for line in text.split('\n') {
            let pieces = splitter.push_line(line);
            has_command = pieces.iter().any(|piece| matches!(piece, super::Piece::Command(_)));
        }
        if has_command || splitter.is_empty() || self.takes_data.load(Ordering::Relaxed) {
            ValidationResult::Complete
        } else {
            ValidationResult::Incomplete
        }
    }
}

struct ShellPrompt {
    prompt: String,
}

impl Prompt for ShellPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.prompt)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(MORE)
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(history: {}) ", search.term))
    }
}
