//! How long a statement keeps its thread before the thread's other tasks have their turn.

use helios_runtime::Clock;

/// Other sessions of the thread wait so long at most, but for what a batch of rows costs; a request to cancel is heard then.
const TURN_NANOS: u64 = 1_000_000;
/// How many batches are counted before the clock is looked at.
const BATCHES_PER_LOOK: u32 = 2;
/// A turn ends after so many batches whatever the clock says.
const BATCHES_PER_TURN: u32 = 256;

/// A statement's turn on its thread.
#[derive(Default)]
pub struct Turn {
    batches: u32,
    /// By the monotonic clock; 0 where it was not looked at since the turn began.
    began_nanos: u64,
}

impl Turn {
    /// Counts a batch; true where the thread's other tasks should run now.
    pub fn is_over(&mut self, clock: &dyn Clock) -> bool {
        self.batches += 1;
        if !self.batches.is_multiple_of(BATCHES_PER_LOOK) {
            return false;
        }
        let now = clock.monotonic_nanos();
        if self.began_nanos == 0 {
            self.began_nanos = now;
        }
        let is_over = now - self.began_nanos >= TURN_NANOS || self.batches >= BATCHES_PER_TURN;
        if is_over {
            *self = Turn::default();
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use helios_runtime::ManualClock;

    use super::*;

    #[test]
    fn a_turn_ends_by_the_clock_or_by_number() {
        let clock = ManualClock::new(1_000);
        let mut turn = Turn::default();
        let ends_at = |turn: &mut Turn, micros: u64| {
            (1..1_000).find(|_| {
                clock.advance_micros(micros);
                turn.is_over(&clock)
            })
        };
        assert_eq!(ends_at(&mut turn, 0), Some(256));
        // The clock is looked at first behind two.
        assert_eq!(ends_at(&mut turn, 1_000), Some(4));
        assert_eq!(ends_at(&mut turn, 100), Some(12));
        assert_eq!(ends_at(&mut turn, 0), Some(256), "each turn is counted anew");
    }
}
