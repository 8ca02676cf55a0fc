//! What kind of bytes a stream has.

/// The content type of a stream, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType(Box<str>);

/// How the bytes of a stream are told apart and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages, read as an array.
    Json,
    /// Characters.
    Text,
    /// Anything.
    Binary,
}

impl ContentType {
    /// Reads the value of a `Content-Type` header: printable ASCII with one `/` in its first part.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_plain = text.len() <= 256 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let name = text.split(';').next().unwrap_or_default().trim();
        let (kind, detail) = name.split_once('/')?;
        let fits = is_plain && !kind.is_empty() && !detail.is_empty() && !detail.contains('/');
        fits.then(|| Self(text.into()))
    }

    /// Returns that of streams of messages.
    pub fn json() -> Self {
        Self("application/json".into())
    }

    /// Returns it as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name the same type. Letter case and parameters do not count.
    pub fn matches(&self, other: &Self) -> bool {
        self.name().eq_ignore_ascii_case(other.name())
    }

    fn name(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim()
    }

    pub(crate) fn kind(&self) -> Kind {
        let name = self.name();
        if name.eq_ignore_ascii_case("application/json") {
            Kind::Json
        } else if name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/")) {
            Kind::Text
        } else {
            Kind::Binary
        }
    }
}

impl Default for ContentType {
    fn default() -> Self {
        Self("application/octet-stream".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_by_name() {
        for (text, expected) in [
            ("application/json", Some(Kind::Json)),
            ("Application/JSON; charset=utf-8", Some(Kind::Json)),
            ("text/plain", Some(Kind::Text)),
            ("TEXT/x", Some(Kind::Text)),
            ("image/png", Some(Kind::Binary)),
            ("json", None),
            ("", None),
            ("a/b/c", None),
            ("a/", None),
        ] {
            assert_eq!(ContentType::parse(text).map(|parsed| parsed.kind()), expected, "{text:?}");
        }
        let parse = |text| ContentType::parse(text).unwrap();
        assert!(parse("text/plain").matches(&parse("Text/Plain; charset=utf-8")));
        assert!(!parse("text/plain").matches(&parse("text/html")));
    }
}
