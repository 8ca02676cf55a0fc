//! What people and programs read: data to stdout, talk to stderr.
//!
//! Everything others wrote passes [`clean`], so no message can steer a terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Result;
use serde::Serialize;

/// Whoever read stdout is gone.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads what is printed")]
pub struct ReaderGone;

/// Prints data.
pub fn data(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut write = || {
        out.write_all(clean(text).as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => anyhow::Error::new(error).context("stdout cannot be written"),
    })
}

/// Prints data as JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    data(&printable_json(&serde_json::to_string_pretty(value)?))
}

/// Says something to the person at the terminal.
pub fn talk(text: impl AsRef<str>) {
    let text = clean(text.as_ref());
    // Nothing can be done about a closed stderr, and nothing depends on it.
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Prints data as JSON if that was asked for, else as text.
pub fn either(as_json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    if as_json { json(value) } else { data(&text()) }
}

/// Lines up columns; the last one is never padded.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|name| name.len()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Makes one line of a text, to stand in a table or a sentence.
pub fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the first `limit` characters, and a mark if there are more.
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Indents every line.
pub fn indent(text: &str) -> String {
    let mut indented = String::with_capacity(text.len());
    for line in text.lines() {
        let _ = writeln!(indented, "    {line}");
    }
    indented
}

/// Drops what would steer a terminal: escape sequences, control characters and marks that reorder text.
pub fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => kept.push(c),
            '\u{1b}' => match chars.next() {
                Some('[') => skip_csi(&mut chars),
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                // An escape with intermediate bytes, such as the choice of a character set, has one more.
                Some(' '..='/') => drop(chars.next()),
                _ => {}
            },
            '\u{9b}' => skip_csi(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut chars),
            c if c.is_control() || is_reordering(c) => {}
            c => kept.push(c),
        }
    }
    kept
}

/// Skips parameters and the final byte of a control sequence; a line break ends a broken one.
fn skip_csi(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next_if(|c| (' '..='~').contains(c)) {
        if ('@'..='~').contains(&c) {
            break;
        }
    }
}

/// Skips a control string up to its terminator; a line break ends a broken one.
fn skip_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        match c {
            '\u{7}' | '\u{9c}' => break,
            '\u{1b}' => {
                chars.next_if_eq(&'\\');
                break;
            }
            _ => {}
        }
    }
}

fn is_reordering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON leaves the upper control characters and the reordering marks as they are; they stand only in strings, so they can be escaped.
pub fn printable_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if ('\u{7f}'..='\u{9f}').contains(&c) || is_reordering(c) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_others_wrote_steers_a_terminal() {
        for (written, shown) in [
            ("plain\ttext\nnext", "plain\ttext\nnext"),
            ("\u{1b}[2Jcleared", "cleared"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq#0\u{1b}\\sixel", "sixel"),
            ("\u{9b}2Jc1", "c1"),
            ("\u{9d}0;title\u{9c}osc", "osc"),
            ("over\rwrite", "overwrite"),
            ("back\u{8}space \u{7}bell \u{7f}del", "backspace bell del"),
            ("\u{1b}(Bset", "set"),
            ("\u{1b}cfull", "full"),
            ("\u{1b}]unfinished\nnext line stays", "\nnext line stays"),
            ("\u{1b}[12\nnext", "\nnext"),
            ("\u{1b}", ""),
            ("a\u{202e}b\u{2066}c", "abc"),
            ("größe 日本 🎉", "größe 日本 🎉"),
        ] {
            assert_eq!(clean(written), shown, "{written:?}");
        }
    }

    #[test]
    fn json_holds_no_raw_control_character() {
        let text = serde_json::to_string("a\u{9b}2J\u{1b}\u{202e}é").unwrap();
        let printed = printable_json(&text);
        assert!(printed.chars().all(|c| !c.is_control() && !is_reordering(c)), "{printed}");
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), "a\u{9b}2J\u{1b}\u{202e}é");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["größe".into(), "1".into(), "a\nb".into()], vec!["x".into(), "200".into(), String::new()]];
        assert_eq!(table(&["NAME", "N", "TEXT"], &rows), "NAME   N    TEXT\ngröße  1    a b\nx      200\n");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
