//! `madvise(2)`, `malloc_trim(3)`, and what `/proc` tells of a process: `proc_pid_smaps(5)`, `proc_pid_status(5)`.

use std::ffi::c_void;
use std::fs;
use std::ops::Range;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns how many bytes are resident.
pub fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: usize = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Returns for how long the process has computed since it began.
pub fn computed() -> Option<Duration> {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

/// What is mapped of the program and its libraries that nobody writes to, from the start of the process to its end.
#[derive(Debug)]
pub struct Program(Vec<Range<usize>>);

impl Program {
    /// Returns it. To be called before the process has more than one thread.
    pub fn at_start() -> Self {
        // What cannot be read or is not understood is left as it is.
        Self(unchanged(&fs::read_to_string("/proc/self/smaps").unwrap_or_default()))
    }

    /// Lets go of its pages, which come again when something needs them.
    pub fn leave(&self) {
        for mapping in &self.0 {
            leave(mapping);
        }
    }
}

/// Returns where files are mapped that are neither written to nor were: what is there is as it is in the file.
fn unchanged(maps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapped = None;
    for line in maps.lines() {
        match line.split_once(": ").map(|(name, value)| (name, value.trim())) {
            // Pages that were changed are not in the file any more: addresses that were put in at the start.
            Some(("Anonymous", "0 kB")) => found.extend(mapped.take()),
            Some((name, _)) if !name.contains(' ') => {}
            _ => mapped = mapping(line),
        }
    }
    found
}

/// Returns where a mapping is, if it is one of a file and is not to be written to.
fn mapping(line: &str) -> Option<Range<usize>> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    // Offset, device and inode.
    let path = fields.nth(3)?.trim_start();
    if !permissions.starts_with("r-") || !permissions.ends_with('p') || !path.starts_with('/') {
        return None;
    }
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[expect(unsafe_code, reason = "no library has this call without it")]
fn leave(mapping: &Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut::<c_void>(mapping.start);
    // SAFETY: what was mapped when the process had one thread is its program and what that was linked with, which nothing
    // unmaps while it runs; nobody may write to it, and it is the same as its file. So the next access finds the same
    // bytes, from the page cache or the file. An error changes nothing.
    unsafe { libc::madvise(start, mapping.len(), libc::MADV_DONTNEED) };
}

/// Returns what was freed, also from between what is in use.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library has this call without it")]
pub fn trim() {
    // SAFETY: it takes no pointer, and may be called at any time from any thread (attributes(7): MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators return what was freed by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
561e8f6aa000-561e8fdfd000 r--p 00000000 fe:00 10112586                   /opt/a program
Rss:                1436 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
561e8fdfd000-561e9148f000 r-xp 00752000 fe:00 10112586                   /opt/a program (deleted)
Anonymous:             0 kB
561e9148f000-561e91511000 r--p 01de3000 fe:00 10112586                   /opt/a program
Anonymous:           520 kB
561e91511000-561e9151a000 rw-p 01e64000 fe:00 10112586                   /opt/a program
Anonymous:             0 kB
561e9151a000-561e91600000 rw-p 00000000 00:00 0                          [heap]
Anonymous:             0 kB
7f0000000000-7f0000001000 r--s 00000000 fe:00 10112586                   /opt/a file
Anonymous:             0 kB
7f0000001000-7f0000002000 ---p 00000000 fe:00 10112586                   /opt/a file
Anonymous:             0 kB
7f9380000000-7f9380100000 r-xp 00000000 fe:00 10112999                   /usr/lib/libc.so.6
Anonymous:             0 kB
7f9390000000-7f9390100000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffdf3a80000-7ffdf3a84000 r--p 00000000 00:00 0                          [vvar]
Anonymous:             0 kB
";

    #[test]
    fn only_what_is_as_in_its_file_is_left() {
        let expected = [
            0x561e_8f6a_a000..0x561e_8fdf_d000,
            0x561e_8fdf_d000..0x561e_9148_f000,
            0x7f93_8000_0000..0x7f93_8010_0000,
        ];
        assert_eq!(unchanged(MAPS), expected);
        for line in ["", " ", "/opt/a", "1-2 r-xp", "x-y r-xp 0 0 0 /opt/a", "1-2 r-xp 0 0 0", "12 r-xp 0 0 0 /opt/a"] {
            assert_eq!(mapping(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_program_goes_on_and_its_pages_come_again() {
        // Other tests run beside this one, but they load no library.
        let program = Program::at_start();
        assert!(program.0.len() >= 4, "text and constants of the program and of libc: {program:x?}");
        for _ in 0..100 {
            program.leave();
        }
        assert_eq!(Program::at_start().0, program.0);
    }
}
