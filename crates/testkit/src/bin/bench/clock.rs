//! Load by the clock.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Says when each of `count` is due, `rate` of them a second, in its moment.
///
/// A thread of its own waits: the runtime's timers may be a millisecond late, which is much of what is measured.
pub fn dues(rate: u32, count: u32) -> UnboundedReceiver<Instant> {
    let (sender, dues) = unbounded_channel();
    std::thread::spawn(move || {
        let began = Instant::now();
        for number in 0..count {
            let due = began + Duration::from_secs(1) * number / rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    dues
}
