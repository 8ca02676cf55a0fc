//! Looking for a text as people write it: as a part, in either case of ASCII letters.

/// Returns the pattern of `LIKE … ESCAPE '\\'` that finds `text` anywhere.
pub(crate) fn containing(text: &str) -> String {
    format!("%{}%", escaped(text))
}

/// Returns `text` as a part of such a pattern, in which it stands for itself.
pub(crate) fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_no_pattern() {
        for (text, expected) in [("a", "%a%"), ("", "%%"), ("50%_\\", "%50\\%\\_\\\\%")] {
            assert_eq!(containing(text), expected, "{text:?}");
        }
    }
}
