//! How long packets take from one hook to the next: a histogram of fixed size.
//!
//! Four buckets for each power of two, from 1 µs to 67 ms (the identity window is shorter than
//! that): a quantile is off by at most an eighth.

/// log2 of the first bucket's lower bound, in nanoseconds.
const FIRST: u32 = 10;
/// Powers of two covered.
const OCTAVES: u32 = 16;
const BUCKETS: usize = (OCTAVES * 4) as usize;

/// The delays before one stop of a flow's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delays {
    counts: [u16; BUCKETS],
    /// Nanoseconds: no quantile lies outside of what was seen.
    least: u32,
    most: u32,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            least: u32::MAX,
            most: 0,
        }
    }
}

impl Delays {
    /// Takes one, in nanoseconds.
    pub(super) fn add(&mut self, delay: u32) {
        self.least = self.least.min(delay);
        self.most = self.most.max(delay);
        let count = &mut self.counts[bucket(delay)];
        *count += 1;
        if *count == u16::MAX {
            // Quantiles need the proportions alone, and may well favour what is recent.
            for count in &mut self.counts {
                *count = count.div_ceil(2);
            }
        }
    }

    /// The delay that `percent` of all don't exceed, in nanoseconds.
    pub(super) fn quantile(&self, percent: u32) -> u32 {
        let total: u32 = self.counts.iter().map(|count| u32::from(*count)).sum();
        let rank = (u64::from(total) * u64::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return middle(index).clamp(self.least.min(self.most), self.most);
            }
        }
        self.most
    }

    /// Adds another's.
    pub(super) fn join(&mut self, other: &Self) {
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more).min(u16::MAX - 1);
        }
    }
}

fn bucket(delay: u32) -> usize {
    let power = delay.checked_ilog2().unwrap_or(0);
    if power < FIRST {
        return 0;
    }
    let index = (power - FIRST) * 4 + ((delay >> (power - 2)) & 3);
    (index as usize).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle(index: usize) -> u32 {
    let index = u32::try_from(index).unwrap_or(0);
    let quarter = 1u32 << (FIRST + index / 4 - 2);
    quarter * (4 + index % 4) + quarter / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_an_eighth_of_the_truth() {
        let mut delays = Delays::default();
        for delay in (1..=1000).map(|step| step * 100_000 / 1000 + 2_000) {
            delays.add(delay);
        }
        for (percent, truth) in [(50, 52_000), (99, 101_000)] {
            let quantile = delays.quantile(percent);
            assert!(
                quantile.abs_diff(truth) <= truth / 8,
                "p{percent} {quantile}"
            );
        }
    }

    #[test]
    fn a_single_delay_is_given_back_as_it_was() {
        for delay in [0, 1, 700, 31_234, u32::MAX] {
            let mut delays = Delays::default();
            delays.add(delay);
            assert_eq!(delays.quantile(50), delay);
            assert_eq!(delays.quantile(99), delay);
        }
    }

    #[test]
    fn counts_that_would_overflow_keep_their_proportions() {
        let mut delays = Delays::default();
        for step in 0..1_000_000u32 {
            delays.add(if step % 10 == 0 { 900_000 } else { 20_000 });
        }
        assert!(delays.quantile(50).abs_diff(20_000) <= 2_500);
        assert!(delays.quantile(99).abs_diff(900_000) <= 112_500);
    }
}
