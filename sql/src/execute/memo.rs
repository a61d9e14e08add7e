//! What a subquery gave for the values that it reads of the outer row: for the same ones it need not run again.
//!
//! It remembers within `work_mem`, and gives up where values seldom come again.

use super::Execution;
use super::key_table::{KeyTable, hash_of};
use super::keys::equality_column;
use super::memory::Reservation;
use crate::types::DataType;
use crate::value::key::{self, KeyColumn};
use crate::value::{Batch, Datum, PhysicalKind};

/// After so many questions one in [`FOUND_PART`] must have been answered.
const QUESTIONS: usize = 1_000;
const FOUND_PART: usize = 10;
/// What an answer takes besides its bytes, about.
const ANSWER_BYTES: usize = size_of::<Datum>();

/// Answers by question.
pub struct Memo {
    questions: KeyTable,
    answers: Vec<Datum>,
    /// The input's columns that are the question, with their keys.
    columns: Vec<(usize, KeyColumn)>,
    /// Those of answers that are text.
    text_bytes: usize,
    key: Vec<u8>,
    asked: usize,
    found: usize,
    reservation: Reservation,
}

impl Memo {
    /// An empty one; `None` where values may be equal and not the same, or an answer have a size that nobody knows.
    pub fn new(
        correlations: &[(usize, usize)],
        types: &[DataType],
        answer: DataType,
        execution: &mut Execution,
    ) -> Option<Memo> {
        let columns = correlations.iter().map(|(_, at)| (*at, equality_column(types[*at])));
        let columns: Vec<(usize, KeyColumn)> = columns.collect();
        let kind = equality_column(answer).kind;
        let is_bounded = kind == PhysicalKind::Text || kind.fixed_width().is_some();
        if !is_bounded || !columns.iter().all(|(_, column)| column.is_lossless()) {
            return None;
        }
        let reservation = execution.memory().reserve();
        let (questions, answers) = (KeyTable::default(), Vec::new());
        let key = Vec::new();
        Some(Memo { questions, answers, columns, text_bytes: 0, key, asked: 0, found: 0, reservation })
    }

    /// The answer for a row, if it was given before.
    pub fn find(&mut self, batch: &Batch, row: usize) -> Option<Datum> {
        self.key.clear();
        for (at, column) in &self.columns {
            key::encode_at(column, &batch.columns[*at], row, false, &mut self.key);
        }
        self.asked += 1;
        let number = self.questions.find(hash_of(&self.key), &self.key)?;
        self.found += 1;
        self.answers.get(number as usize).cloned()
    }

    /// Remembers the answer to what was asked last; tells whether it is worth going on.
    pub fn remember(&mut self, answer: Datum) -> bool {
        if self.asked >= QUESTIONS && self.found < self.asked / FOUND_PART {
            return false;
        }
        let held = self.questions.memory_bytes() + self.answers.len() * ANSWER_BYTES + self.text_bytes;
        self.reservation.set(held);
        let more = answer.as_text().map_or(0, str::len);
        if held + more < self.reservation.memory().work_bytes {
            let (number, _) = self.questions.enter(hash_of(&self.key), &self.key);
            if number as usize == self.answers.len() {
                self.answers.push(answer);
                self.text_bytes += more;
            }
        }
        true
    }
}
