//! Compares services under load, round by round.
//!
//! The load of other programs changes within a minute, by more than the differences of interest. So every
//! service has one short turn in each round, and the figure is the median of the rounds' ratios.

use std::error::Error;
use std::fmt;

/// The seconds of one turn. Many short turns give a narrower interval than a few long ones.
pub(crate) const SECONDS: u32 = 1;

/// Gives each of `N` services one turn in each round. Returns the loads of each round.
///
/// Each round begins with another service, and after `N` rounds the direction changes. So after `2 * N`
/// rounds each service came as often just before its neighbor as just after it.
pub(crate) fn by_turns<const N: usize, T: Copy>(
    rounds: usize,
    mut turn: impl FnMut(usize) -> Result<T, Box<dyn Error>>,
) -> Result<Vec<[T; N]>, Box<dyn Error>> {
    let mut loads = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut row = [None; N];
        for place in 0..N {
            let service = (round + if round / N % 2 == 0 { place } else { N - place }) % N;
            row[service] = Some(turn(service)?);
        }
        loads.push(row.map(|load| load.expect("each service had its turn")));
    }
    Ok(loads)
}

/// A median and its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Median {
    pub(crate) median: f64,
    low: f64,
    high: f64,
}

impl Median {
    /// The interval is between two of the sorted figures and assumes nothing about how they are distributed:
    /// each figure is below the true median with probability 1/2. Fewer than six figures have no such
    /// interval, and get their range.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let count = figures.len();
        let median = (figures[(count - 1) / 2] + figures[count / 2]) / 2.0;

        // Counts the figures that can be left out at each end: the probability that as many or fewer are
        // below the true median stays under 2.5 %.
        let mut left_out = 0;
        let mut probability = 0.5_f64.powi(count as i32);
        let mut sum = probability;
        while sum <= 0.025 {
            left_out += 1;
            probability *= (count + 1 - left_out) as f64 / left_out as f64;
            sum += probability;
        }
        let left_out = left_out.saturating_sub(1);
        Median { median, low: figures[left_out], high: figures[count - 1 - left_out] }
    }
}

impl fmt::Display for Median {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.low, self.high)
    }
}
