//! Numbers in as few bytes as they need: seven bits a byte, the lowest first, bit 7 set on all bytes but the last.

/// Appends a number.
#[inline]
pub fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the beginning; `None` where there is none.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    // Most are short.
    if let Some((first, rest)) = bytes.split_first()
        && *first < 0x80
    {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = (0..64).flat_map(|bits| [1u64 << bits, (1 << bits) - 1, u64::MAX >> bits]);
        for number in numbers {
            let mut bytes = Vec::new();
            put_varint(number, &mut bytes);
            bytes.push(7);
            let mut rest = &bytes[..];
            assert_eq!((take_varint(&mut rest), rest), (Some(number), &[7][..]));
            let mut cut = &bytes[..bytes.len() - 2];
            assert_eq!(take_varint(&mut cut), None);
        }
        assert_eq!(take_varint(&mut &[0x80; 20][..]), None);
    }
}
