//! What a merge would do, and what is in its way.

use std::collections::HashSet;

use crate::error::{SqlError, SqlState};
use crate::value::{Datum, Text};

/// Who wins where both sides changed the same thing differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Nobody: nothing is merged.
    #[default]
    Fail,
    BranchWins,
    TargetWins,
}

/// Whose version is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The target's.
    Ours,
    /// The source's.
    Theirs,
}

/// One change, or what is in its way.
#[derive(Clone, Debug)]
pub struct Finding {
    /// `table public.users`
    pub object: String,
    /// `(id)=(1)`, for a row.
    pub key: Option<String>,
    /// What happens to the target: `insert`, `update`, `delete`, `create`, `alter`, `drop`.
    pub operation: &'static str,
    /// Why it cannot be done, or could only be done by deciding for a side.
    pub conflict: Option<String>,
    /// The row in the base, the target and the source.
    pub versions: [Datum; 3],
}

impl Finding {
    /// A conflict of declarations.
    #[must_use]
    pub fn of_object(object: String, conflict: String) -> Finding {
        let versions = [Datum::Null, Datum::Null, Datum::Null];
        Finding { object, key: None, operation: "alter", conflict: Some(conflict), versions }
    }

    /// As a row of a relation: object, key, operation, conflict, base, target, source.
    #[must_use]
    pub fn row(&self) -> Vec<Datum> {
        let optional = |text: &Option<String>| text.as_ref().map_or(Datum::Null, Datum::text);
        let mut row = vec![
            Datum::text(&self.object),
            optional(&self.key),
            Datum::Text(Text::new(self.operation)),
            optional(&self.conflict),
        ];
        row.extend(self.versions.iter().cloned());
        row
    }

    fn line(&self) -> String {
        let why = self.conflict.as_deref().unwrap_or(self.operation);
        let line = match &self.key {
            Some(key) => format!("{}, row {key}: {why}", self.object),
            None => format!("{}: {why}", self.object),
        };
        cut(line, LINE_CHARACTERS_MAX)
    }

    fn bytes(&self) -> usize {
        let texts = [Some(&self.object), self.key.as_ref(), self.conflict.as_ref()];
        let versions = self.versions.iter().map(|version| match version {
            Datum::Jsonb(bytes) => bytes.as_bytes().len(),
            _ => 0,
        });
        texts.iter().flatten().map(|text| text.len()).chain(versions).sum()
    }
}

/// The operation of a row that breaks a constraint.
const REFUSED: &str = "refuse";
/// How many findings are kept, and how many bytes of them.
pub const KEPT_MAX: usize = 10_000;
const KEPT_BYTES_MAX: usize = 64 << 20;
/// How many of them an error names, with how many characters each.
const LINES_MAX: usize = 20;
const LINE_CHARACTERS_MAX: usize = 500;
/// What a finding says of a broken constraint ends there: values may be long.
const CONFLICT_CHARACTERS_MAX: usize = 2_000;

/// What is said of a broken constraint.
fn told(error: &SqlError) -> String {
    let detail = error.fields().detail.as_deref().map_or(String::new(), |detail| format!(" ({detail})"));
    cut(format!("{}{detail}", error.message()), CONFLICT_CHARACTERS_MAX)
}

/// The beginning of a text that is too long.
fn cut(mut text: String, characters_max: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(characters_max) {
        text.truncate(at);
        text.push_str("...");
    }
    text
}

/// What a merge has found so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    resolution: Resolution,
    /// Changes are kept too, not only what is in the way.
    keeps_changes: bool,
    pub findings: Vec<Finding>,
    kept_bytes: usize,
    /// Conflicts that nobody has settled.
    pub conflicts: u64,
    /// Of these, those of rows that break constraints; the first one's error says how.
    violations: u64,
    violation: Option<SqlError>,
    /// What was said of rows when they were written.
    said: HashSet<(String, Option<String>, String)>,
    lacks_rows: bool,
    /// Rows and objects that change.
    pub changes: u64,
}

impl Report {
    /// An empty one.
    #[must_use]
    pub fn new(resolution: Resolution, keeps_changes: bool) -> Report {
        Report { resolution, keeps_changes, ..Report::default() }
    }

    /// An empty one that decides alike.
    #[must_use]
    pub fn another(&self) -> Report {
        Report::new(self.resolution, false)
    }

    fn keep(&mut self, finding: Finding) {
        if !self.is_full() {
            self.kept_bytes += finding.bytes();
            self.findings.push(finding);
        }
    }

    /// Whether no more findings are kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.findings.len() >= KEPT_MAX || self.kept_bytes >= KEPT_BYTES_MAX
    }

    /// A change that is made.
    pub fn change(&mut self, finding: impl FnOnce() -> Finding) {
        self.changes += 1;
        if self.keeps_changes {
            self.keep(finding());
        }
    }

    /// Decides a conflict.
    pub fn settle(&mut self, conflict: impl FnOnce() -> Finding) -> Settled {
        match self.resolution {
            Resolution::Fail => {
                self.refuse(conflict());
                Settled::Ours
            }
            Resolution::BranchWins => self.settled(conflict, Settled::Theirs),
            Resolution::TargetWins => self.settled(conflict, Settled::Ours),
        }
    }

    fn settled(&mut self, conflict: impl FnOnce() -> Finding, settled: Settled) -> Settled {
        if self.keeps_changes {
            self.keep(conflict());
        }
        settled
    }

    /// A conflict that only one side can win.
    pub fn refuse_unless(&mut self, only: Settled, conflict: impl FnOnce() -> Finding) {
        let wins = match self.resolution {
            Resolution::Fail => None,
            Resolution::BranchWins => Some(Settled::Theirs),
            Resolution::TargetWins => Some(Settled::Ours),
        };
        if wins == Some(only) {
            self.settled(conflict, only);
        } else {
            self.refuse(conflict());
        }
    }

    /// A conflict that nobody can decide.
    pub fn refuse(&mut self, conflict: Finding) {
        self.conflicts += 1;
        self.keep(conflict);
    }

    /// A row that breaks a constraint as it is written, or a table that does.
    pub fn violate(&mut self, object: String, key: Option<String>, error: SqlError) {
        let said = (object.clone(), key.clone(), told(&error));
        self.keep_violation(object, key, error);
        if !self.is_full() {
            self.said.insert(said);
        }
    }

    /// A merged row that is found to break a constraint, unless that was said when it was written.
    pub fn violate_later(&mut self, object: String, key: Option<String>, error: SqlError) {
        let said = (object, key, told(&error));
        if !self.said.contains(&said) {
            self.keep_violation(said.0, said.1, error);
        }
    }

    fn keep_violation(&mut self, object: String, key: Option<String>, error: SqlError) {
        self.conflicts += 1;
        self.violations += 1;
        let versions = [Datum::Null, Datum::Null, Datum::Null];
        let conflict = Some(told(&error));
        self.keep(Finding { object, key, operation: REFUSED, conflict, versions });
        self.violation.get_or_insert(error);
    }

    /// A row that could not be written at all: what refers to it is not to be called broken.
    pub fn lose_row(&mut self) {
        self.lacks_rows = true;
    }

    /// Whether the rows are what they would be, but for what they break: tests of constraints tell something then.
    #[must_use]
    pub fn has_merged_rows(&self) -> bool {
        self.conflicts == self.violations && !self.is_full()
    }

    /// Whether tests of foreign keys tell something too.
    #[must_use]
    pub fn has_all_rows(&self) -> bool {
        self.has_merged_rows() && !self.lacks_rows
    }

    /// How many rows break constraints, as far as they can be told apart.
    fn broken_rows(&self) -> u64 {
        let kept = self.findings.iter().filter(|finding| finding.operation == REFUSED);
        let (mut seen, mut repeated) = (HashSet::new(), 0);
        for Finding { object, key, .. } in kept {
            repeated += u64::from(key.is_some() && !seen.insert((object, key)));
        }
        self.violations - repeated
    }

    /// Whether the merge cannot be done.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.conflicts > 0
    }

    /// 40002, or what the first broken constraint says.
    #[must_use]
    pub fn error(&self, source: &str, target: &str) -> SqlError {
        let lines = self.findings.iter().filter(|finding| finding.conflict.is_some());
        let mut lines: Vec<String> = lines.take(LINES_MAX).map(Finding::line).collect();
        let more = self.conflicts.saturating_sub(lines.len() as u64);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        let plural =
            |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let begin = format!("could not merge branch \"{source}\" into \"{target}\"");
        if self.violations == self.conflicts
            && let Some(violation) = &self.violation
        {
            let broken = plural(self.broken_rows(), "row breaks a constraint", "rows break constraints");
            return SqlError::new(violation.state(), format!("{begin}: {broken}"))
                .with_detail(lines.join("\n"));
        }
        let found = plural(self.conflicts, "conflict", "conflicts");
        SqlError::new(SqlState::TRANSACTION_INTEGRITY_CONSTRAINT_VIOLATION, format!("{begin}: {found}"))
            .with_detail(lines.join("\n"))
            .with_hint(
                "SELECT * FROM heliosdb_conflicts() shows them. WITH (conflict_resolution = 'branch_wins') or \
                 'target_wins' decides those that can be decided.",
            )
    }
}
