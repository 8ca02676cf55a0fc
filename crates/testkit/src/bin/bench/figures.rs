//! Times, and tables of them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// Measured times, sorted.
#[derive(Debug, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Takes times in any order.
    pub fn new(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the time that `share` of them do not exceed.
    pub fn at(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank among few"
        )]
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Writes p50, p99 and the slowest, in milliseconds.
    pub fn cells(&self) -> [String; 3] {
        [self.at(0.5), self.at(0.99), self.at(1.0)].map(millis)
    }
}

/// Writes a time in milliseconds.
pub fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 1.0 { format!("{millis:.3} ms") } else { format!("{millis:.1} ms") }
}

/// Returns a time that was told in milliseconds; one that a clock which was set back made negative is none.
pub fn from_millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default()
}

/// Returns the one in the middle.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// A table, printed as it stands in the document.
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// Begins a table.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self(vec![head.map(str::to_owned).to_vec(), vec!["---".to_owned(); N]])
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.push(Vec::from(cells));
    }

    /// Prints it.
    pub fn print(&self) -> std::io::Result<()> {
        let mut text = String::new();
        for row in &self.0 {
            // A text takes every line.
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        say(&text)
    }
}

/// Prints a line of the result.
pub fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Tells how far the run is, apart from the result.
pub fn progress(line: &str) {
    // Nobody may be looking.
    let _ = writeln!(std::io::stderr(), "… {line}");
}
