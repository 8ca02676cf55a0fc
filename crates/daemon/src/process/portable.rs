//! The process table where there is no `/proc`: what `ps` prints. This is the fallback for macOS and the BSDs.

use std::process::{Command, Stdio};

use super::ProcessId;
use super::table::Process;

/// Reads one row.
pub fn process(pid: u32) -> Option<Process> {
    let text = ps(&["-o", "pid=,ppid=,state=,lstart=", "-p", &pid.to_string()])?;
    text.lines().find_map(parse_row)
}

/// Reads every row.
pub fn processes() -> Vec<Process> {
    ps(&["-axo", "pid=,ppid=,state=,lstart="])
        .map(|text| text.lines().filter_map(parse_row).collect())
        .unwrap_or_default()
}

/// Returns whether the environment of `pid` has exactly `variable` (`NAME=value`).
///
/// `ps -E` prints it after the command in one line, so a space inside a value cannot be told from a
/// border; the mark's value has none.
pub fn environment_has(pid: u32, variable: &str) -> bool {
    ps(&["-E", "-ww", "-o", "command=", "-p", &pid.to_string()])
        .is_some_and(|text| text.split_ascii_whitespace().any(|word| word == variable))
}

fn ps(arguments: &[&str]) -> Option<String> {
    let output = Command::new("ps")
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One line: `  502     1 Ss   Sat Nov 21 08:14:31 2026`.
fn parse_row(line: &str) -> Option<Process> {
    let mut words = line.split_ascii_whitespace();
    let pid = words.next()?.parse().ok()?;
    let parent = words.next()?.parse().ok()?;
    let state = words.next()?;
    let start_time = parse_start(&words.collect::<Vec<_>>())?;
    Some(Process { id: ProcessId { pid, start_time }, parent, ended: state.starts_with('Z') })
}

/// `Sat Nov 21 08:14:31 2026` as one growing number. It only has to differ from another start, so no calendar is needed.
fn parse_start(words: &[&str]) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let [_, month, day, clock, year] = words else {
        return None;
    };
    let month = MONTHS.iter().position(|name| name == month)?;
    let clock = clock.split(':').try_fold(0_u64, |total, part| Some(total * 100 + part.parse::<u64>().ok()?))?;
    let date = year.parse::<u64>().ok()? * 10_000 + (u64::try_from(month).ok()? + 1) * 100 + day.parse::<u64>().ok()?;
    Some(date * 1_000_000 + clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_ps_is_read() {
        for (line, expected) in [
            ("  502     1 Ss   Sat Nov 21 08:14:31 2026", Some((502, 1, 20_261_121_081_431, false))),
            ("7 6 Z+ Sun Feb  1 00:00:00 2026", Some((7, 6, 20_260_201_000_000, true))),
            ("7 6 S Sun Feb", None),
            ("", None),
        ] {
            let read = parse_row(line).map(|p| (p.id.pid, p.parent, p.id.start_time, p.ended));
            assert_eq!(read, expected, "{line}");
        }
    }
}
