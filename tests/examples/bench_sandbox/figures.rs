//! What was measured, and how it is shown.

use std::time::Duration;

/// How long something took, each time.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e3);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(50)
    }

    /// What 95 of 100 do not exceed, in milliseconds.
    pub(crate) fn p95(&self) -> f64 {
        self.quantile(95)
    }

    /// The nearest rank. Not a number where nothing was measured.
    fn quantile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100);
        rank.checked_sub(1).map_or(f64::NAN, |at| sorted[at])
    }
}

/// Writes the head of the table.
pub(crate) fn head() {
    println!("{:<50} {:>6} {:>10} {:>10}  against the bare side", "", "count", "median ms", "p95 ms");
}

/// Writes a row of times.
pub(crate) fn row(what: &str, samples: &Samples, verdict: &str) {
    println!("{what:<50} {:>6} {:>10.2} {:>10.2}  {verdict}", samples.count(), samples.median(), samples.p95());
}

/// Writes a row of a rate.
pub(crate) fn rate(what: &str, count: usize, seconds: f64, verdict: &str) {
    println!("{what:<50} {count:>6} {:>10}/s {:>9}  {verdict}", format!("{:.2}", per(count, seconds)), "");
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
pub(crate) fn per(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Says whether a figure is as wanted.
pub(crate) fn verdict(figure: &str, wanted: &str, is_met: bool) -> String {
    format!("{figure} (wanted: {wanted}): {}", if is_met { "met" } else { "MISSED" })
}
