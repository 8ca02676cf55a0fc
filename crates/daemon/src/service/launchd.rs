//! An agent of the user's launchd.

use std::fmt::Write as _;

use super::{ARGS, Service};

pub(super) fn plist(service: &Service) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n"
        .to_owned();
    let _ = writeln!(text, "  <key>Label</key>\n  <string>{}</string>", escaped(&service.name()));
    let _ = writeln!(text, "  <key>ProgramArguments</key>\n  <array>");
    let exe = service.exe.display().to_string();
    for word in std::iter::once(exe.as_str()).chain(ARGS) {
        let _ = writeln!(text, "    <string>{}</string>", escaped(word));
    }
    let _ = writeln!(text, "  </array>\n  <key>EnvironmentVariables</key>\n  <dict>");
    for (name, value) in &service.variables {
        let _ = writeln!(text, "    <key>{}</key>\n    <string>{}</string>", escaped(name), escaped(value));
    }
    let _ = write!(
        text,
        "  </dict>\n  \
         <key>RunAtLoad</key>\n  <true/>\n  \
         <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n  \
         <key>ThrottleInterval</key>\n  <integer>10</integer>\n  \
         <key>AbandonProcessGroup</key>\n  <true/>\n  \
         <key>ExitTimeOut</key>\n  <integer>90</integer>\n  \
         <key>StandardErrorPath</key>\n  <string>{}</string>\n\
         </dict>\n</plist>\n",
        escaped(&service.log.display().to_string())
    );
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
