//! Backslash commands.

use std::io;

use super::catalog_queries::{self, Listed, VIEW_FUNCTIONS};
use super::client::Failure;
use super::pattern::Pattern;
use super::table::Table;
use super::{Next, Shell};

const HELP: &str = "\
Statements end with a semicolon and may take several lines.

  \\h            this help
  \\d            list tables, views and sequences
  \\d NAME       describe a table, view, sequence or index
  \\dt [NAME]    list tables
  \\dv [NAME]    list views
  \\di [NAME]    list indexes
  \\dS           list system views
  \\dS NAME      describe a system view
  \\g            run the statement that has begun, as a semicolon does
  \\r            forget the statement that has begun
  \\timing       show how long statements take, or no longer do
  \\q            quit

NAME may be schema.name; * stands for any characters and ? for one.";

impl Shell<'_> {
    /// Runs a command, given without its backslash.
    pub(super) fn run_command(&mut self, command: &str) -> io::Result<Next> {
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let argument = argument.trim().trim_end_matches(';').trim_end();
        let pattern = (!argument.is_empty()).then(|| Pattern::new(argument));
        match name.trim_end_matches(';') {
            "q" | "quit" => return Ok(Next::Quit),
            "h" | "help" | "?" => self.screen.show_text(HELP)?,
            "d" => match pattern {
                Some(pattern) => self.describe(&pattern, argument)?,
                None => self.list(Listed::Relations, None)?,
            },
            "dt" => self.list(Listed::Tables, pattern.as_ref())?,
            "dv" | "dm" => self.list(Listed::Views, pattern.as_ref())?,
            "di" => self.list(Listed::Indexes, pattern.as_ref())?,
            "dS" => match pattern {
                Some(pattern) => self.describe(&pattern, argument)?,
                None => self.list(Listed::System, None)?,
            },
            "timing" => self.set_timing(argument)?,
            "g" => {
                if let Some(statement) = self.splitter.take() {
                    self.run_statement(&statement)?;
                }
            }
            "r" => {
                self.splitter.clear();
                self.screen.show_text("Query buffer reset (cleared).")?;
            }
            unknown => {
                self.failed = true;
                self.screen.show_report(&format!("invalid command \\{unknown}\nTry \\h for help.\n"))?;
            }
        }
        Ok(Next::Continue)
    }

    fn set_timing(&mut self, argument: &str) -> io::Result<()> {
        self.screen.timing = match argument {
            "" => !self.screen.timing,
            "on" => true,
            "off" => false,
            other => {
                self.failed = true;
                return self
                    .screen
                    .show_report(&format!("unrecognized value \"{other}\" for \\timing: on or off\n"));
            }
        };
        self.screen.show_text(if self.screen.timing { "Timing is on." } else { "Timing is off." })
    }

    /// Runs a query of a command; shows why where it fails.
    fn ask(&mut self, query: &str) -> io::Result<Option<Table>> {
        match self.client.query(query) {
            Ok(table) => Ok(Some(table)),
            Err(failure) => {
                // Positions are those of the command's own query, which the user has not seen.
                self.fail(failure, "")?;
                Ok(None)
            }
        }
    }

    fn list(&mut self, listed: Listed, pattern: Option<&Pattern>) -> io::Result<()> {
        let Some(mut table) = self.ask(&catalog_queries::list(listed, pattern))? else { return Ok(()) };
        if listed == Listed::System {
            for function in VIEW_FUNCTIONS {
                if self.client.columns_of(&format!("SELECT * FROM {function}()")).is_ok() {
                    let row = ["pg_catalog", &format!("{function}()"), "function", "postgres"];
                    table.rows.push(row.map(|value| Some(value.to_string())).to_vec());
                }
            }
        }
        if table.rows.is_empty() {
            return self.screen.show_text("Did not find any relations.");
        }
        self.screen.show_listing(listed.title(), &table)
    }

    /// Describes every relation that a pattern stands for.
    fn describe(&mut self, pattern: &Pattern, written: &str) -> io::Result<()> {
        let Some(found) = self.ask(&catalog_queries::find(pattern))? else { return Ok(()) };
        if found.rows.is_empty() {
            return self.describe_function(written);
        }
        for row in &found.rows {
            let [Some(oid), Some(schema), Some(name), Some(kind)] = row.as_slice() else { continue };
            self.describe_relation(oid, &format!("{} \"{schema}.{name}\"", capitalized(kind)))?;
        }
        Ok(())
    }

    fn describe_relation(&mut self, oid: &str, title: &str) -> io::Result<()> {
        let Some(columns) = self.ask(&catalog_queries::columns(oid))? else { return Ok(()) };
        self.screen.show_listing(title, &columns)?;
        for (title, query) in catalog_queries::details(oid) {
            let Some(lines) = self.ask(&query)? else { return Ok(()) };
            if lines.rows.is_empty() {
                continue;
            }
            self.screen.show_text(title)?;
            for line in lines.rows.iter().flatten().flatten() {
                self.screen.show_text(&format!("    {line}"))?;
            }
        }
        Ok(())
    }

    /// Describes a function that is used like a view: `pg_database_branches`.
    fn describe_function(&mut self, written: &str) -> io::Result<()> {
        let name = written.trim_end_matches("()");
        let mut described = None;
        if VIEW_FUNCTIONS.contains(&name) {
            match self.client.columns_of(&format!("SELECT * FROM {name}()")) {
                Ok(columns) => described = self.ask(&catalog_queries::type_names(&columns))?,
                Err(Failure::Io(error)) => return Err(error),
                Err(Failure::Statement(_)) => {}
            }
        }
        match described {
            Some(table) => self.screen.show_listing(&format!("Function \"pg_catalog.{name}()\""), &table),
            None => {
                self.failed = true;
                self.screen.show_report(&format!("Did not find any relation named \"{written}\".\n"))
            }
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
