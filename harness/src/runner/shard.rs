//! A part of a run: `2/5` is the second of five.

use std::str::FromStr;

/// Part `number` of `of` parts of a run, written `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// `None` unless 1 ≤ `number` ≤ `of`.
    pub fn new(number: u32, of: u32) -> Option<Shard> {
        (1..=of).contains(&number).then_some(Shard { number, of })
    }

    /// Whether the card at `position`, counted from 0, is dealt to this part.
    pub(super) fn takes(self, position: u32) -> bool {
        position % self.of == self.number - 1
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = BadShard;

    fn from_str(text: &str) -> Result<Shard, BadShard> {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        text.split_once('/').and_then(|(number, of)| Shard::new(digits(number)?, digits(of)?)).ok_or(BadShard)
    }
}

/// A string that is no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard is written `K/N` with 1 <= K <= N, e.g. `2/5`")]
pub struct BadShard;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_written_k_of_n() {
        assert_eq!("2/5".parse(), Ok(Shard { number: 2, of: 5 }));
        assert_eq!("2/5".parse::<Shard>().unwrap().to_string(), "2/5");
        for text in ["", "1", "0/5", "6/5", "1/0", "-1/5", "+1/5", "1/5/9", " 1/5", "/"] {
            assert_eq!(text.parse::<Shard>(), Err(BadShard), "{text:?}");
        }
    }
}
