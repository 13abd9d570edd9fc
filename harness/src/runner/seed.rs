//! Where a trial's seed comes from: it does not depend on which other cases, shards or catalogues a run has.

use crate::model::CaseId;

/// The seed of a trial: `mix(mix(mix(S) ^ fnv(ID)) ^ I)`, where S is the run's seed, ID the case id as it is written, I
/// the trial's index from 0, `fnv` 64-bit FNV-1a and `mix` one step of splitmix64.
pub fn trial_seed(run_seed: u64, case: &CaseId, index: u32) -> u64 {
    mix(mix(mix(run_seed) ^ fnv1a(case.to_string().as_bytes())) ^ u64::from(index))
}

/// One step of splitmix64 from the state `x`.
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 64-bit FNV-1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_seed_are_the_published_functions() {
        // The first outputs of splitmix64 from the seeds 0 and 1234567, and FNV-1a's own test vectors.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
