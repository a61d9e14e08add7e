//! Results as boxed tables.
//!
//! Every column is as wide as its widest line, in terminal cells; a value of several lines takes several lines of
//! the table. Characters that would move the cursor are shown as escapes, so that data cannot play tricks on a
//! terminal.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

/// How NULL is shown.
const NULL: &str = "NULL";
/// How far tabs reach.
const TAB_WIDTH: usize = 8;

/// A result: the columns' names, and the rows' values as text (`None`: NULL).
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// Writes the box: the names, and the rows under them.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let head: Vec<Vec<String>> = self.columns.iter().map(|name| lines(name)).collect();
        let rows: Vec<Vec<Vec<String>>> =
            self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let mut widths = vec![0; self.columns.len()];
        for row in std::iter::once(&head).chain(&rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.iter().map(|line| line.width()).max().unwrap_or(0).max(*width);
            }
        }
        let rule = widths.iter().fold(String::from("+"), |rule, width| rule + &"-".repeat(width + 2) + "+");
        writeln!(out, "{rule}")?;
        write_row(out, &head, &widths)?;
        writeln!(out, "{rule}")?;
        for row in &rows {
            write_row(out, row, &widths)?;
        }
        if !rows.is_empty() {
            writeln!(out, "{rule}")?;
        }
        Ok(())
    }
}

fn write_row(out: &mut impl Write, row: &[Vec<String>], widths: &[usize]) -> io::Result<()> {
    let height = row.iter().map(Vec::len).max().unwrap_or(1);
    for at in 0..height {
        for (cell, width) in row.iter().zip(widths) {
            let line = cell.get(at).map_or("", String::as_str);
            write!(out, "| {line}{} ", " ".repeat(width - line.width()))?;
        }
        writeln!(out, "|")?;
    }
    Ok(())
}

fn cell(value: &Option<String>) -> Vec<String> {
    value.as_deref().map_or_else(|| vec![NULL.to_string()], lines)
}

/// A value's lines, as they can be shown.
fn lines(value: &str) -> Vec<String> {
    value.split('\n').map(shown).collect()
}

fn shown(line: &str) -> String {
    if !line.chars().any(char::is_control) {
        return line.to_string();
    }
    let mut text = String::with_capacity(line.len() + TAB_WIDTH);
    for character in line.chars() {
        match character {
            '\t' => text.push_str(&" ".repeat(TAB_WIDTH - text.width() % TAB_WIDTH)),
            '\r' => text.push_str("\\r"),
            control if control.is_control() => text.push_str(&format!("\\x{:02x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text
}

/// `1 row`, `3 rows`.
pub fn count_of_rows(count: u64) -> String {
    format!("{count} row{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn written(columns: &[&str], rows: &[&[Option<&str>]]) -> String {
        let table = Table {
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: rows
                .iter()
                .map(|row| row.iter().map(|value| value.map(str::to_string)).collect())
                .collect(),
        };
        let mut out = Vec::new();
        table.write(&mut out).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let expected = "\
+----+---------------+
| id | name          |
+----+---------------+
| 1  | Alice Johnson |
| 2  | NULL          |
+----+---------------+
";
        assert_eq!(
            written(&["id", "name"], &[&[Some("1"), Some("Alice Johnson")], &[Some("2"), None]]),
            expected
        );
    }

    #[test]
    fn wide_characters_lines_and_controls_keep_the_box() {
        let expected = "\
+--------+------+
| a      | b    |
+--------+------+
| 日本   | x    |
|        | y    |
| \\x1b[m | \\r é |
+--------+------+
";
        let rows: &[&[Option<&str>]] = &[&[Some("日本"), Some("x\ny")], &[Some("\u{1b}[m"), Some("\r é")]];
        assert_eq!(written(&["a", "b"], rows), expected);
    }

    #[test]
    fn without_rows_there_is_a_head_and_without_columns_nothing() {
        assert_eq!(written(&["a"], &[]), "+---+\n| a |\n+---+\n");
        assert_eq!(written(&[], &[&[], &[]]), "");
    }
}
