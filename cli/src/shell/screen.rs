//! What the shell shows: results on standard output, errors and notices on standard error.

use std::io::{self, BufWriter, Stdout, Write};

use helios_runtime::{Clock, SystemClock};
use heliosdb_nano::Error;
use heliosdb_nano::connection::Notice;

use super::client::Answer;
use super::report::Report;
use super::table::{Table, count_of_rows};

/// The output of a shell.
pub struct Screen {
    out: BufWriter<Stdout>,
    clock: SystemClock,
    /// Whether times are shown.
    pub timing: bool,
    /// Whether errors and notices go to standard output too.
    errors_between: bool,
}

/// When a statement began.
pub struct Watch {
    start_nanos: u64,
}

impl Default for Screen {
    fn default() -> Screen {
        Screen {
            out: BufWriter::new(io::stdout()),
            clock: SystemClock::new(),
            timing: true,
            errors_between: false,
        }
    }
}

impl Screen {
    /// A screen that shows errors where they arise among the results: on standard output.
    pub fn with_errors_between() -> Screen {
        Screen { errors_between: true, ..Screen::default() }
    }

    /// Starts to measure.
    pub fn watch(&self) -> Watch {
        Watch { start_nanos: self.clock.monotonic_nanos() }
    }

    /// ` (0.001s)`, or nothing where times are not shown.
    fn elapsed(&self, watch: &Watch) -> String {
        if !self.timing {
            return String::new();
        }
        let nanos = self.clock.monotonic_nanos() - watch.start_nanos;
        let millis = nanos.div_ceil(1_000_000);
        format!(" ({}.{:03}s)", millis / 1_000, millis % 1_000)
    }

    /// Shows lines of text.
    pub fn show_text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", text.trim_end_matches('\n'))?;
        self.out.flush()
    }

    /// Shows a table under a title, without its number of rows.
    pub fn show_listing(&mut self, title: &str, table: &Table) -> io::Result<()> {
        writeln!(self.out, "{title}")?;
        table.write(&mut self.out)?;
        self.out.flush()
    }

    /// Shows what a statement gave.
    pub fn show_answer(&mut self, answer: &Answer, watch: &Watch) -> io::Result<()> {
        let elapsed = self.elapsed(watch);
        match answer {
            Answer::Table(table) => {
                table.write(&mut self.out)?;
                let rows = count_of_rows(u64::try_from(table.rows.len()).unwrap_or(u64::MAX));
                writeln!(self.out, "({rows}){elapsed}")?;
            }
            Answer::Copied(bytes) => self.out.write_all(bytes)?,
            Answer::Done(tag) => {
                let count = tag.rsplit_once(' ').and_then(|(_, count)| count.parse().ok());
                let more = match count {
                    Some(count) => format!(", {} affected", count_of_rows(count)),
                    // COMMIT of a failed transaction says so too.
                    None if tag == "ROLLBACK" => ", rolled back".into(),
                    None => String::new(),
                };
                writeln!(self.out, "Query OK{more}{elapsed}")?;
            }
        }
        self.out.flush()
    }

    /// Shows an error in a statement.
    pub fn show_error(&mut self, error: &Error, statement: &str) -> io::Result<()> {
        let report = Report {
            severity: "ERROR",
            message: error.message(),
            detail: error.detail(),
            hint: error.hint(),
            context: error.context(),
            position: error.position(),
        };
        self.show_report(&report.text(statement))
    }

    /// Shows messages of a statement.
    pub fn show_notices(&mut self, notices: &[Notice], statement: &str) -> io::Result<()> {
        for notice in notices {
            let fields = notice.error.fields();
            let report = Report {
                severity: notice.severity,
                message: &fields.message,
                detail: fields.detail.as_deref(),
                hint: fields.hint.as_deref(),
                context: fields.context.as_deref(),
                position: fields.position,
            };
            self.show_report(&report.text(statement))?;
        }
        Ok(())
    }

    /// Shows the lines of an error or notice, after all that was shown before.
    pub fn show_report(&mut self, text: &str) -> io::Result<()> {
        if self.errors_between {
            self.out.write_all(text.as_bytes())?;
            return self.out.flush();
        }
        self.out.flush()?;
        io::stderr().write_all(text.as_bytes())
    }
}
