//! Which solved examples stand before a question, by the draws of lm-evaluation-harness 0.4.13.
//!
//! The harness draws with Python's `random.Random(1234).sample`, row after row. To put the same examples before the same question its
//! generator has to be met: MT19937 (Matsumoto and Nishimura 1998) and the way in which Python draws a sample from it.

/// Seed of the harness.
const SEED: u32 = 1234;
/// Size and shift of the state of MT19937.
const SIZE: usize = 624;
const SHIFT: usize = 397;

/// Draws examples for one row after the other.
#[derive(Debug)]
pub(crate) struct Draws {
    state: Vec<u32>,
    at: usize,
}

impl Draws {
    /// As the harness begins each task.
    pub(crate) fn new() -> Self {
        Self::of(SEED)
    }

    /// `init_by_array` with one number.
    fn of(seed: u32) -> Self {
        let mut state = vec![19_650_218_u32; SIZE];
        for i in 1..SIZE {
            let before = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = before.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let mut i = 1;
        let mut step = |i: &mut usize, factor: u32, plus: u32, minus: bool| {
            let before = state[*i - 1] ^ (state[*i - 1] >> 30);
            let mixed = state[*i] ^ before.wrapping_mul(factor);
            state[*i] = if minus { mixed.wrapping_sub(*i as u32) } else { mixed.wrapping_add(plus) };
            *i += 1;
            if *i == SIZE {
                state[0] = state[SIZE - 1];
                *i = 1;
            }
        };
        (0..SIZE).for_each(|_| step(&mut i, 1_664_525, seed, false));
        (1..SIZE).for_each(|_| step(&mut i, 1_566_083_941, 0, true));
        state[0] = 0x8000_0000;
        Self { state, at: SIZE }
    }

    fn next(&mut self) -> u32 {
        if self.at == SIZE {
            for i in 0..SIZE {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % SIZE] & 0x7fff_ffff);
                let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + SHIFT) % SIZE] ^ (y >> 1) ^ odd;
            }
            self.at = 0;
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A number below `end`, which is at least 1 and below 2³².
    fn below(&mut self, end: usize) -> usize {
        let bits = usize::BITS - end.leading_zeros();
        loop {
            let draw = (self.next() >> (32 - bits)) as usize;
            if draw < end {
                return draw;
            }
        }
    }

    /// `count` different places of a list of `length`, which has as many.
    pub(crate) fn sample(&mut self, length: usize, count: usize) -> Vec<usize> {
        let mut small = 21_usize;
        if count > 5 {
            // 4 to the power ⌈log₄(3 · count)⌉.
            let mut power = 1;
            while power < 3 * count {
                power *= 4;
            }
            small += power;
        }
        if length <= small {
            let mut pool: Vec<usize> = (0..length).collect();
            let draw = |i: usize| {
                let j = self.below(length - i);
                let drawn = pool[j];
                pool[j] = pool[length - i - 1];
                drawn
            };
            return (0..count).map(draw).collect();
        }
        let mut drawn: Vec<usize> = Vec::with_capacity(count);
        while drawn.len() < count {
            let j = self.below(length);
            if !drawn.contains(&j) {
                drawn.push(j);
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_python() {
        // random.Random(1234): getrandbits(32) three times; then sample(range(20), 3) and sample(range(2251), 7).
        let mut draws = Draws::new();
        assert_eq!([draws.next(), draws.next(), draws.next()], [4_150_886_329, 3_342_196_574, 1_892_932_127]);
        let mut draws = Draws::new();
        assert_eq!(draws.sample(20, 3), [14, 3, 0]);
        assert_eq!(draws.sample(2251, 7), [371, 143, 343, 403, 1452, 969, 71]);
    }
}
