//! Errors and notices in psql's form.
//!
//! ```text
//! ERROR:  column "nam" does not exist
//! LINE 1: SELECT nam FROM users;
//!                ^
//! HINT:  Perhaps you meant to reference the column "users.name".
//! ```

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many cells of a statement's line are shown.
const LINE_WIDTH_MAX: usize = 60;
/// How many cells after the caret are shown at least, where a line is cut.
const AFTER_CARET_MIN: usize = 10;

/// An error or a notice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report<'a> {
    pub severity: &'a str,
    pub message: &'a str,
    pub detail: Option<&'a str>,
    pub hint: Option<&'a str>,
    pub context: Option<&'a str>,
    /// Where in the statement, in characters from 1.
    pub position: Option<u32>,
}

impl Report<'_> {
    /// The lines to show, for an error in `statement`.
    pub fn text(&self, statement: &str) -> String {
        let mut text = format!("{}:  {}\n", self.severity, self.message);
        if let Some(position) = self.position {
            text.push_str(&excerpt(statement, position));
        }
        for (label, field) in [("DETAIL", self.detail), ("HINT", self.hint), ("CONTEXT", self.context)] {
            if let Some(field) = field {
                // A String takes everything that is written to it.
                let _ = writeln!(text, "{label}:  {field}");
            }
        }
        text
    }
}

/// The line of a statement that holds the position, and a caret under it; nothing for a position outside.
fn excerpt(statement: &str, position: u32) -> String {
    let index = usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(offset) =
        statement.char_indices().map(|(at, _)| at).chain(std::iter::once(statement.len())).nth(index)
    else {
        return String::new();
    };
    let start = statement[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = statement[offset..].find('\n').map_or(statement.len(), |at| offset + at);
    let number = statement[..start].matches('\n').count() + 1;
    // Tabs count as one cell, so that the caret stands right on every terminal.
    let before: String = statement[start..offset].replace(['\t', '\r'], " ");
    let after: String = statement[offset..end].replace(['\t', '\r'], " ");
    let (cut_before, before, after, cut_after) = windowed(&before, after.trim_end());
    let label = format!("LINE {number}: {cut_before}");
    let caret = " ".repeat(label.width() + before.width());
    format!("{label}{before}{after}{cut_after}\n{caret}^\n")
}

/// Cuts a long line so that the caret and its surroundings are seen.
fn windowed<'a>(before: &'a str, after: &'a str) -> (&'static str, &'a str, &'a str, &'static str) {
    if before.width() + after.width() <= LINE_WIDTH_MAX {
        return ("", before, after, "");
    }
    let after_shown = first_cells(after, LINE_WIDTH_MAX.saturating_sub(before.width()).max(AFTER_CARET_MIN));
    let before_shown = last_cells(before, LINE_WIDTH_MAX - after_shown.width());
    let dots = |cut: bool| if cut { "..." } else { "" };
    (
        dots(before_shown.len() < before.len()),
        before_shown,
        after_shown,
        dots(after_shown.len() < after.len()),
    )
}

fn first_cells(text: &str, cells_max: usize) -> &str {
    let mut cells = 0;
    let end = text.char_indices().find(|(_, each)| {
        cells += each.width().unwrap_or(0);
        cells > cells_max
    });
    end.map_or(text, |(at, _)| &text[..at])
}

fn last_cells(text: &str, cells_max: usize) -> &str {
    let mut cells = 0;
    let start = text.char_indices().rev().find(|(_, each)| {
        cells += each.width().unwrap_or(0);
        cells > cells_max
    });
    start.map_or(text, |(at, each)| &text[at + each.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::Report;

    fn error(statement: &str, position: u32) -> String {
        Report { severity: "ERROR", message: "no", position: Some(position), ..Report::default() }
            .text(statement)
    }

    #[test]
    fn the_caret_stands_under_the_position() {
        assert_eq!(error("SELECT x;", 8), "ERROR:  no\nLINE 1: SELECT x;\n               ^\n");
        assert_eq!(error("SELECT 'é',\n\tx;", 14), "ERROR:  no\nLINE 2:  x;\n         ^\n");
        assert_eq!(error("SELECT", 7), "ERROR:  no\nLINE 1: SELECT\n              ^\n");
        assert_eq!(error("SELECT", 100), "ERROR:  no\n");
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let statement = format!("SELECT {} wrong {};", "a, ".repeat(40), "b, ".repeat(40));
        let text = error(&statement, 129);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("LINE 1: ...") && lines[1].ends_with("..."), "{text}");
        let caret = lines[2].len() - 1;
        assert!(lines[1][caret..].starts_with("wrong"), "{text}");
    }

    #[test]
    fn detail_hint_and_context_follow() {
        let report = Report {
            severity: "WARNING",
            message: "m",
            detail: Some("d"),
            hint: Some("h"),
            context: Some("c"),
            position: None,
        };
        assert_eq!(report.text(""), "WARNING:  m\nDETAIL:  d\nHINT:  h\nCONTEXT:  c\n");
    }
}
