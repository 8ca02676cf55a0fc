//! The process table of Linux: `/proc`.

use std::fs;

use super::ProcessId;
use super::table::Process;

/// Reads one row.
pub fn process(pid: u32) -> Option<Process> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads every row.
pub fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(process).collect()
}

/// Returns whether the environment of `pid` has exactly `variable` (`NAME=value`).
///
/// This is the environment the process was started with. One we may not read belongs to somebody else.
pub fn environment_has(pid: u32, variable: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()))
}

/// The name in field 2 may hold spaces and brackets, so fields are counted from its last closing one.
fn parse_stat(pid: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the line; state was field 3, parent field 4.
    let start_time = fields.nth(17)?.parse().ok()?;
    Some(Process { id: ProcessId { pid, start_time }, parent, ended: matches!(state, "Z" | "X" | "x") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_shift_the_fields() {
        let stat = "7 (a) R 1 (b c) S 42 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 1";
        assert_eq!(
            parse_stat(7, stat),
            Some(Process { id: ProcessId { pid: 7, start_time: 987_654 }, parent: 42, ended: false })
        );
        assert_eq!(parse_stat(7, "7 (cut"), None);
        assert_eq!(parse_stat(7, "7 (cut) S 1 2"), None);
    }
}
