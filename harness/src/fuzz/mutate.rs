//! Damage: small deterministic changes to real input, chosen by a number.

/// A stream of numbers that depends on its beginning only (splitmix64).
pub(super) struct Random(u64);

impl Random {
    /// The stream of one case: seed, area and number of the case.
    pub(super) fn of(seed: u64, area: &str, case: u64) -> Random {
        let name = area
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut random = Random(seed ^ name.rotate_left(17) ^ case.wrapping_mul(0xd134_2543_de82_ef95));
        // Neighbours begin far apart.
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which counts as at least one.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of these.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A number of the kind that bounds are forgotten for.
    pub(super) fn awkward(&mut self, length: usize) -> u64 {
        let (length, any) = (length as u64, self.next());
        let choices = [
            0,
            1,
            u64::MAX,
            u64::MAX - 7,
            i64::MAX as u64,
            i64::MIN as u64,
            u64::from(u32::MAX),
            u64::from(i32::MAX as u32),
            0xffff_0000,
            0xff,
            0x80,
            0x7f,
            length,
            length.wrapping_sub(1),
            length.wrapping_add(1),
            1 << 40,
            any,
            any % 4096,
            any % (length + 1),
        ];
        *self.one(&choices)
    }
}

/// Damages the part of `bytes` from `start` to `end`, without changing its length.
pub(super) fn damage(random: &mut Random, bytes: &mut [u8], start: usize, end: usize) {
    let (start, end) = (start.min(bytes.len()), end.min(bytes.len()));
    if start >= end {
        return;
    }
    let whole = bytes.len();
    let part = &mut bytes[start..end];
    for _ in 0..=random.below(4) {
        let at = random.below(part.len());
        match random.below(8) {
            0 => part[at] ^= 1 << random.below(8),
            1 => part[at] = random.next() as u8,
            2 => part[at] = *random.one(&[0, 1, 0x7f, 0x80, 0xff]),
            // Numbers of two, four and eight bytes, mostly where such numbers lie.
            3..=5 => {
                let size = *random.one(&[2, 4, 8]);
                let at = if random.once_in(4) { at } else { at / size * size };
                let number = random.awkward(whole).to_le_bytes();
                if let Some(place) = part.get_mut(at..at + size) {
                    place.copy_from_slice(&number[..size]);
                }
            }
            6 => {
                let length = 1 + random.below(32.min(part.len() - at));
                let value = *random.one(&[0, 0xff, 0x80]);
                part[at..(at + length).min(end - start)].fill(value);
            }
            _ => {
                let length = 1 + random.below(64.min(part.len() - at));
                let from = random.below(part.len() - length + 1);
                part.copy_within(from..from + length, at.min(part.len() - length));
            }
        }
    }
}

/// Damages a text, which may become longer, shorter or no text at all.
pub(super) fn text(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(40)).min(bytes.len());
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 => drop(bytes.drain(at..to)),
            2 => {
                let piece = bytes[at..to].to_vec();
                let place = random.below(bytes.len() + 1);
                bytes.splice(place..place, piece);
            }
            3 => {
                let number = random.awkward(bytes.len());
                let written = if random.once_in(2) { format!("{number}") } else { format!("{number:x}") };
                bytes.splice(at..to, written.into_bytes());
            }
            4 => {
                let odd: &[&[u8]] = &[
                    b" ",
                    b"\n",
                    b"\0",
                    b"-",
                    b"(",
                    b") ",
                    b":",
                    b"\xff\xfe",
                    b"\xc3\xa9",
                    b"0x",
                    b"\x1b[31m",
                    b"\\012",
                    b"18446744073709551616",
                    b"-9223372036854775809",
                    b"1e999",
                    b"null",
                    b"[]",
                    b"{}",
                    b"\"",
                ];
                let odd = random.one(odd).to_vec();
                bytes.splice(at..at, odd);
            }
            5 => {
                // A digit becomes another one: well-formed, and wrong.
                if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    bytes[at + digit] = b'0' + random.below(10) as u8;
                }
            }
            6 if random.once_in(3) => bytes.truncate(at),
            7 => {
                // A line once more, somewhere else.
                let lines: Vec<Vec<u8>> =
                    bytes.split_inclusive(|b| *b == b'\n').take(400).map(<[u8]>::to_vec).collect();
                if !lines.is_empty() {
                    let line = random.one(&lines).clone();
                    bytes.splice(at..at, line);
                }
            }
            _ => {
                let value = random.next() as u8;
                bytes[at..to].iter_mut().for_each(|byte| *byte ^= value & 0x1f);
            }
        }
    }
    bytes
}
