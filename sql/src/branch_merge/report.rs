//! What a merge would do, and what is in its way.

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
        match &self.key {
            Some(key) => format!("{}, row {key}: {why}", self.object),
            None => format!("{}: {why}", self.object),
        }
    }
}

/// How many findings are kept.
const KEPT_MAX: usize = 10_000;
/// How many of them an error names.
const LINES_MAX: usize = 20;

/// What a merge has found so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    resolution: Resolution,
    /// Changes are kept too, not only what is in the way.
    keeps_changes: bool,
    pub findings: Vec<Finding>,
    /// Conflicts that nobody has settled.
    pub conflicts: u64,
    /// Of these, rows that break constraints; the first one's error says how.
    violations: u64,
    violation: Option<SqlError>,
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
        if self.findings.len() < KEPT_MAX {
            self.findings.push(finding);
        }
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

    /// A merged row, or table, that breaks a constraint.
    pub fn violate(&mut self, object: String, key: Option<String>, error: SqlError) {
        self.conflicts += 1;
        self.violations += 1;
        let detail = error.fields().detail.as_deref().map_or(String::new(), |detail| format!(" ({detail})"));
        let conflict = Some(format!("{}{detail}", error.message()));
        let versions = [Datum::Null, Datum::Null, Datum::Null];
        self.keep(Finding { object, key, operation: "refuse", conflict, versions });
        self.violation.get_or_insert(error);
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
            let broken = plural(self.violations, "row breaks a constraint", "rows break constraints");
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
