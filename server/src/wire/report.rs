//! Errors and notices as the client gets them.

use heliosdb_nano::session::SqlError;

use super::Output;

/// How bad a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    /// The connection ends with it.
    Fatal,
}

/// An error on its way to the client.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) severity: Severity,
    pub(crate) error: SqlError,
}

impl Report {
    pub(crate) fn fatal(error: SqlError) -> Report {
        Report { severity: Severity::Fatal, error }
    }
}

impl From<SqlError> for Report {
    fn from(error: SqlError) -> Report {
        Report { severity: Severity::Error, error }
    }
}

impl Output {
    /// ErrorResponse.
    pub(crate) fn error(&mut self, report: &Report) {
        let severity = match report.severity {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        };
        let start = self.buffer().len();
        self.take_refused();
        self.report(b'E', severity, &report.error);
        // What cannot be said in the client's encoding is told instead.
        if let Some(refused) = self.take_refused() {
            self.buffer().truncate(start);
            self.report(b'E', severity, &refused);
        }
        // The client should hear of it even if what follows takes long.
        self.want_flush();
    }

    /// NoticeResponse.
    pub(crate) fn notice(&mut self, severity: &str, error: &SqlError) {
        self.report(b'N', severity, error);
    }

    fn report(&mut self, kind: u8, severity: &str, error: &SqlError) {
        let fields = error.fields();
        let message = self.begin(kind);
        let mut field = |code: u8, text: &str| {
            self.byte(code);
            self.string(text);
        };
        field(b'S', severity);
        field(b'V', severity);
        field(b'C', fields.state.as_str());
        field(b'M', &fields.message);
        let optional = [
            (b'D', &fields.detail),
            (b'H', &fields.hint),
            (b'W', &fields.context),
            (b's', &fields.schema),
            (b't', &fields.table),
            (b'c', &fields.column),
            (b'd', &fields.datatype),
            (b'n', &fields.constraint),
        ];
        for (code, text) in optional {
            if let Some(text) = text {
                field(code, text);
            }
        }
        if let Some(position) = fields.position {
            field(b'P', &position.to_string());
        }
        if let Some(routine) = fields.routine {
            field(b'R', routine);
        }
        self.byte(0);
        self.end(message);
    }
}
