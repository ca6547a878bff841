//! XXH64, the 64-bit hash of other tools' signatures and n-grams, seed 0.
//!
//! For what has to equal their numbers; tables of our own use XXH3. By the xxHash specification, version 0.1.1.

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// The hash of the bytes.
pub fn xxh64(bytes: &[u8]) -> u64 {
    let (stripes, mut rest) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() { PRIMES[4] } else { lanes(stripes) };
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27);
        hash = hash.wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
        rest = behind;
    }
    if let Some((word, behind)) = rest.split_first_chunk::<4>() {
        hash = (hash ^ u64::from(u32::from_le_bytes(*word)).wrapping_mul(PRIMES[0])).rotate_left(23);
        hash = hash.wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
        rest = behind;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIMES[4])).rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIMES[1]);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIMES[2]);
    hash ^ (hash >> 32)
}

const fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

/// Four lanes side by side over stripes of 32 bytes, joined.
fn lanes(stripes: &[[u8; 32]]) -> u64 {
    let first = PRIMES[0].wrapping_add(PRIMES[1]);
    let mut lanes = [first, PRIMES[1], 0, 0_u64.wrapping_sub(PRIMES[0])];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let turned = [1, 7, 12, 18].iter().zip(lanes).map(|(by, lane)| lane.rotate_left(*by));
    let hash = turned.fold(0, u64::wrapping_add);
    lanes
        .iter()
        .fold(hash, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `xxhash` 3 gives, asked once.
    #[test]
    fn hashes_are_those_of_the_specification() {
        let bytes: Vec<u8> = (0..=255).collect();
        for (len, expected) in EXPECTED {
            assert_eq!(xxh64(&bytes[..*len]), *expected, "{len} bytes");
        }
    }

    const EXPECTED: &[(usize, u64)] = &[
        (0, 0xef46_db37_51d8_e999),
        (1, 0xe934_a84a_db05_2768),
        (3, 0xe5c7_bb45_33bc_65dd),
        (4, 0xffce_d860_4453_cc1e),
        (5, 0xdd02_7438_6e26_030c),
        (8, 0x884a_1736_14b8_1b8d),
        (11, 0x652a_564a_9536_5aca),
        (12, 0x424a_f23f_1f08_dca5),
        (15, 0xa948_f5f0_f6ab_ac2d),
        (16, 0x44b6_ef2f_b841_69f7),
        (31, 0xc346_d2b5_9b4d_8ee1),
        (32, 0xcbf5_9c51_16ff_32b4),
        (33, 0x0c53_5d1a_cafb_8ead),
        (36, 0xdde0_ef85_e3ae_f05c),
        (44, 0xa733_d156_db2b_b292),
        (63, 0xe26a_a9e2_a95f_8e4f),
        (64, 0xf7c6_7301_db67_13f0),
        (100, 0x6ac1_e580_3216_6597),
        (127, 0x464d_0858_10ce_0199),
        (255, 0x0f7d_9750_7caa_d693),
        (256, 0x1fac_be84_06cd_904b),
    ];
}
