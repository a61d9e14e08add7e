//! Streams of messages as no well-behaved client sends them: recorded ones, changed at random.

/// A source of numbers that look random and come again with the same seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, 0 where there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Bytes that are often where mistakes are.
const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'\'', b'\\', b'$'];
/// Lengths and counts that are often where mistakes are.
const TELLING_LENGTHS: [u32; 8] = [0, 3, 4, 5, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
/// All kinds of messages, and some that are none.
const KINDS: &[u8] = b"QPBDECHSFXdcfpZR\0\xff";
/// So many mutations of one stream.
const MUTATIONS_MAX: usize = 4;

/// Changes a stream at some places; `others` are streams that it may take messages from.
pub fn mutate(stream: &mut Vec<Vec<u8>>, others: &[Vec<Vec<u8>>], dice: &mut Dice) {
    for _ in 0..=dice.below(MUTATIONS_MAX) {
        if stream.is_empty() {
            return;
        }
        let at = dice.below(stream.len());
        match dice.below(8) {
            0 => {
                stream.remove(at);
            }
            1 => {
                let again = stream[at].clone();
                stream.insert(dice.below(stream.len()), again);
            }
            2 => {
                let other = dice.below(stream.len());
                stream.swap(at, other);
            }
            3 => {
                let other = &others[dice.below(others.len())];
                if let Some(message) = other.get(dice.below(other.len())) {
                    stream.insert(at, message.clone());
                }
            }
            // Within a message, more often than all of the above.
            _ => mutate_message(&mut stream[at], dice),
        }
    }
}

fn mutate_message(message: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(message.len());
    match dice.below(9) {
        0 if !message.is_empty() => message[at] ^= 1 << dice.below(8),
        1 if !message.is_empty() => message[at] = TELLING[dice.below(TELLING.len())],
        2 if !message.is_empty() => message[at] = dice.byte(),
        3 => message.truncate(at),
        4 => {
            let end = (at + 1 + dice.below(8)).min(message.len());
            message.drain(at.min(end)..end);
        }
        5 => {
            for _ in 0..=dice.below(16) {
                let byte = dice.byte();
                message.insert(at, byte);
            }
        }
        6 => {
            let length = TELLING_LENGTHS[dice.below(TELLING_LENGTHS.len())];
            // That of the message, or something within.
            put(message, if dice.below(2) == 0 { 1 } else { at }, &length.to_be_bytes());
        }
        7 => put(message, 0, &[KINDS[dice.below(KINDS.len())]]),
        // The length is right, the body is another.
        _ => {
            for _ in 0..=dice.below(4) {
                let at = 5 + dice.below(message.len().saturating_sub(5));
                let byte = dice.byte();
                put(message, at, &[byte]);
            }
        }
    }
}

fn put(message: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in message.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}
