//! Looking for a text as people write it: as a part, in either case of ASCII letters.

/// Returns the pattern of `LIKE … ESCAPE '\'` that finds `text` anywhere.
pub(crate) fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
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
