//! A unit of the user's systemd.

use std::fmt::Write as _;

use super::{ARGS, Service, UNUSABLE};

pub(super) fn unit(service: &Service) -> String {
    let mut text = format!(
        "# Written by `chatroom machine daemon install`, which writes it anew.\n\
         [Unit]\n\
         Description=chatroom: runs coding agents on this computer\n\
         StartLimitIntervalSec=600\n\
         StartLimitBurst=20\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={} {}\n",
        // The program's path is no place for variables, so its `$` stands as it is.
        quoted(&service.exe.display().to_string()),
        ARGS.join(" ")
    );
    for (name, value) in &service.variables {
        let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}")));
    }
    let _ = write!(
        text,
        "Restart=on-failure\n\
         RestartSec=5\n\
         RestartPreventExitStatus=2 {UNUSABLE}\n\
         KillMode=process\n\
         TimeoutStopSec=90\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    );
    text
}

/// Quotes a word: `%` begins a specifier, `\` an escape, `"` ends it.
fn quoted(word: &str) -> String {
    let mut text = String::with_capacity(word.len() + 2);
    text.push('"');
    for c in word.chars() {
        match c {
            '%' => text.push_str("%%"),
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
