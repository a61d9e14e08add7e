//! Which part of a match each part of an expression takes.
//!
//! A node that is given a stretch of the text gives its first part as much of it as it can, or as little, by that part's
//! preference, so that the rest still fits the rest; then the parts are taken apart in turn. Where a part does not fit what it
//! was given, the division is tried otherwise: only back references and looks around make that necessary, and it may
//! take long, so that there is a bound on all of it.

use super::node::{Kind, Node, SHORTER, longest, shortest};
use super::too_complex;
use crate::error::Result;
use crate::functions::EvalContext;

/// How many searches one match may take, those of long stretches counted more than once.
const EFFORT_MAX: u64 = 20_000_000;
/// How many searches are done between two looks at whether the statement was cancelled.
const CANCEL_EVERY: u64 = 1_024;

/// Which bytes of the text the groups matched.
pub(super) type Groups = Vec<Option<(usize, usize)>>;

/// One attempt at matching a text.
pub(super) struct Dissection<'a> {
    text: &'a str,
    context: &'a EvalContext<'a>,
    effort: u64,
    searches: u64,
    pub(super) groups: Groups,
}

impl<'a> Dissection<'a> {
    pub(super) fn new(text: &'a str, groups: usize, context: &'a EvalContext<'a>) -> Dissection<'a> {
        Dissection { text, context, effort: 0, searches: 0, groups: vec![None; groups + 1] }
    }

    /// Counts a search over so many bytes.
    fn account(&mut self, bytes: usize) -> Result<()> {
        self.effort += 1 + bytes as u64 / 64;
        self.searches += 1;
        if self.effort > EFFORT_MAX {
            return Err(too_complex());
        }
        if self.searches.is_multiple_of(CANCEL_EVERY) { self.context.check_cancel() } else { Ok(()) }
    }

    /// The end of a node's longest match within a stretch.
    pub(super) fn longest(&mut self, node: &Node, begin: usize, limit: usize) -> Result<Option<usize>> {
        let found = longest(node.finder().ok_or_else(too_complex)?, self.text, begin, limit);
        self.account(found.map_or((limit - begin) / 64, |end| end - begin))?;
        Ok(found)
    }

    /// The end of a node's shortest match that ends at `least` or behind it.
    pub(super) fn shortest(
        &mut self,
        node: &Node,
        begin: usize,
        least: usize,
        limit: usize,
    ) -> Result<Option<usize>> {
        if least <= begin {
            let found = shortest(node.finder().ok_or_else(too_complex)?, self.text, begin, limit);
            self.account(found.map_or((limit - begin) / 64, |end| end - begin))?;
            return Ok(found);
        }
        let mut end = least;
        while end <= limit {
            if self.longest(node, begin, end)? == Some(end) {
                return Ok(Some(end));
            }
            end = self.after(end);
        }
        Ok(None)
    }

    /// The place one character on; beyond the text's end there is one more place.
    pub(super) fn after(&self, at: usize) -> usize {
        at + self.text[at..].chars().next().map_or(1, char::len_utf8)
    }

    /// The place one character back.
    pub(super) fn before(&self, at: usize) -> usize {
        at - self.text[..at].chars().next_back().map_or(0, char::len_utf8)
    }

    /// Whether a node matches exactly a stretch; its groups are noted.
    pub(super) fn fits(&mut self, node: &Node, begin: usize, end: usize) -> Result<bool> {
        if self.longest(node, begin, end)? != Some(end) {
            return Ok(false);
        }
        match &node.kind {
            Kind::Plain => Ok(true),
            Kind::Group(number, body) => {
                let fits = self.fits(body, begin, end)?;
                if fits {
                    self.groups[*number] = Some((begin, end));
                }
                Ok(fits)
            }
            Kind::Sequence(first, second) => self.sequence(first, second, begin, end),
            Kind::Branches(branches) => {
                for branch in branches {
                    if self.fits(branch, begin, end)? {
                        return Ok(true);
                    }
                    self.forget(branch);
                }
                Ok(false)
            }
            Kind::BackReference(number) => Ok(self.refers_back(*number, node.ignore_case, begin, end)),
            Kind::Repeat { least, most, body } => self.repeat(body, *least, *most, begin, end),
            Kind::Look { ahead, negated, body } => Ok(self.looks(*ahead, body, begin)? != *negated),
        }
    }

    fn forget(&mut self, node: &Node) {
        match &node.kind {
            Kind::Plain | Kind::BackReference(_) | Kind::Look { .. } => {}
            Kind::Group(number, body) => {
                self.groups[*number] = None;
                self.forget(body);
            }
            Kind::Sequence(first, second) => {
                self.forget(first);
                self.forget(second);
            }
            Kind::Branches(branches) => branches.iter().for_each(|branch| self.forget(branch)),
            Kind::Repeat { body, .. } => self.forget(body),
        }
    }

    fn sequence(&mut self, first: &Node, second: &Node, begin: usize, end: usize) -> Result<bool> {
        let shorter = first.flags & SHORTER != 0;
        let mut middle = match shorter {
            true => self.shortest(first, begin, begin, end)?,
            false => self.longest(first, begin, end)?,
        };
        while let Some(at) = middle {
            if self.longest(second, at, end)? == Some(end) {
                if self.fits(first, begin, at)? && self.fits(second, at, end)? {
                    return Ok(true);
                }
                self.forget(first);
                self.forget(second);
            }
            middle = match shorter {
                true if at == end => None,
                true => self.shortest(first, begin, self.after(at), end)?,
                false if at == begin => None,
                false => self.longest(first, begin, self.before(at))?,
            };
        }
        Ok(false)
    }

    fn refers_back(&self, number: usize, ignore_case: bool, begin: usize, end: usize) -> bool {
        let Some((from, to)) = self.groups[number] else { return false };
        let (earlier, found) = (&self.text[from..to], &self.text[begin..end]);
        if ignore_case {
            return earlier
                .chars()
                .flat_map(char::to_lowercase)
                .eq(found.chars().flat_map(char::to_lowercase));
        }
        earlier == found
    }

    /// Whether what stands before or behind a place matches.
    fn looks(&mut self, ahead: bool, body: &Node, at: usize) -> Result<bool> {
        let length = self.text.len();
        if ahead {
            let mut end = self.shortest(body, at, at, length)?;
            while let Some(found) = end {
                if self.fits(body, at, found)? {
                    return Ok(true);
                }
                end =
                    if found == length { None } else { self.shortest(body, at, self.after(found), length)? };
            }
            return Ok(false);
        }
        let mut begin = at;
        loop {
            if self.fits(body, begin, at)? {
                return Ok(true);
            }
            if begin == 0 {
                return Ok(false);
            }
            begin = self.before(begin);
        }
    }

    /// Divides a stretch among repetitions: `ends` are where those end that have a place for now.
    fn repeat(
        &mut self,
        body: &Node,
        least: usize,
        most: Option<usize>,
        begin: usize,
        end: usize,
    ) -> Result<bool> {
        // A group that took no part is not even matched no times.
        if matches!(body.kind, Kind::BackReference(number) if self.groups[number].is_none()) {
            return Ok(false);
        }
        if begin == end && least == 0 {
            // A part that matches nothing at all is noted as such.
            if !self.fits(body, begin, end)? {
                self.forget(body);
            }
            return Ok(true);
        }
        let shorter = body.flags & SHORTER != 0;
        let least = least.max(1);
        let most = most.unwrap_or(usize::MAX).min(self.text[begin..end].chars().count()).max(least);
        let mut ends = vec![begin];
        let mut found = self.step(body, shorter, begin, None, end)?;
        loop {
            let last = *ends.last().unwrap_or(&begin);
            if let Some(at) = found {
                let count = ends.len();
                let too_few = count < least;
                if at == end && !too_few {
                    ends.push(at);
                    match self.all_fit(body, &ends)? {
                        None => return Ok(true),
                        // What failed is to be divided otherwise: those behind it go.
                        Some(failed) => ends.truncate(failed + 1),
                    }
                } else if count < most && (at > last || (too_few && least - count >= end - at)) {
                    ends.push(at);
                    found = self.step(body, shorter, at, None, end)?;
                    continue;
                } else {
                    ends.push(at);
                }
            }
            // The last of them is given another length.
            loop {
                let Some(at) = (ends.len() > 1).then(|| ends.pop()).flatten() else { return Ok(false) };
                let from = *ends.last().unwrap_or(&begin);
                found = self.step(body, shorter, from, Some(at), end)?;
                if found.is_some() {
                    break;
                }
            }
        }
    }

    /// Where one more repetition may end: first as it prefers, then behind or before where it ended already.
    fn step(
        &mut self,
        body: &Node,
        shorter: bool,
        from: usize,
        ended: Option<usize>,
        limit: usize,
    ) -> Result<Option<usize>> {
        match (shorter, ended) {
            (true, None) => self.shortest(body, from, from, limit),
            (true, Some(at)) if at == limit => Ok(None),
            (true, Some(at)) => self.shortest(body, from, self.after(at), limit),
            (false, None) => self.longest(body, from, limit),
            (false, Some(at)) if at == from => Ok(None),
            (false, Some(at)) => self.longest(body, from, self.before(at)),
        }
    }

    /// Whether each repetition fits its part; the number of the first that does not.
    fn all_fit(&mut self, body: &Node, ends: &[usize]) -> Result<Option<usize>> {
        for (index, pair) in ends.windows(2).enumerate() {
            self.forget(body);
            if !self.fits(body, pair[0], pair[1])? {
                return Ok(Some(index + 1));
            }
        }
        Ok(None)
    }
}
