//! Moments of a terminal, as asciicast (version 2) writes them down.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::terminal::TerminalSize;

/// One moment of a terminal: `[seconds since it was opened, code, data]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(f64, String, String)", into = "(f64, String, String)")]
pub struct Frame {
    /// When, counted from when the terminal was opened.
    pub millis: u64,
    /// What.
    pub shown: Shown,
}

/// What happened to a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It was given this to show (code `o`).
    Output(String),
    /// It is of this size now (code `r`).
    Size(TerminalSize),
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a frame with the code {0:?} cannot be read")]
pub struct UnknownFrame(String);

impl From<Frame> for (f64, String, String) {
    #[expect(clippy::cast_precision_loss, reason = "no run lasts so long that a millisecond would be lost")]
    fn from(Frame { millis, shown }: Frame) -> Self {
        let (code, data) = match shown {
            Shown::Output(text) => ("o", text),
            Shown::Size(size) => ("r", format!("{}x{}", size.columns, size.rows)),
        };
        (millis as f64 / 1000.0, code.to_owned(), data)
    }
}

impl TryFrom<(f64, String, String)> for Frame {
    type Error = UnknownFrame;

    fn try_from((seconds, code, data): (f64, String, String)) -> Result<Self, UnknownFrame> {
        let size = || {
            let (columns, rows) = data.split_once('x')?;
            Some(TerminalSize { columns: columns.parse().ok()?, rows: rows.parse().ok()? })
        };
        let shown = match code.as_str() {
            "o" => Some(Shown::Output(data.clone())),
            "r" => size().map(Shown::Size),
            _ => None,
        };
        let millis = Duration::try_from_secs_f64(seconds).ok().and_then(|time| time.as_millis().try_into().ok());
        match (millis, shown) {
            (Some(millis), Some(shown)) => Ok(Self { millis, shown }),
            _ => Err(UnknownFrame(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_written_as_asciicast_does() {
        let text = |text: &str| Shown::Output(text.to_owned());
        for (frame, written) in [
            (Frame { millis: 0, shown: text("a\u{1b}[1m") }, r#"[0.0,"o","a\u001b[1m"]"#),
            (Frame { millis: 12_345, shown: text("é") }, r#"[12.345,"o","é"]"#),
            (
                Frame { millis: 7, shown: Shown::Size(TerminalSize { columns: 120, rows: 40 }) },
                r#"[0.007,"r","120x40"]"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&frame).unwrap(), written);
            assert_eq!(serde_json::from_str::<Frame>(written).unwrap(), frame);
        }
        for unknown in [r#"[1.0,"m","x"]"#, r#"[1.0,"r","wide"]"#, r#"[-1.0,"o","x"]"#] {
            assert!(serde_json::from_str::<Frame>(unknown).is_err(), "{unknown}");
        }
    }
}
