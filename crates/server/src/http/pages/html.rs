//! The frame of every page.

use axum::response::{IntoResponse, Response};
use chatroom_protocol::Timestamp;
use http::{StatusCode, header};

/// A page.
pub(crate) struct Page {
    title: String,
    body: String,
    status: StatusCode,
}

impl Page {
    /// Makes a page of a plain title and a body that is HTML already.
    pub(crate) fn new(title: &str, body: String) -> Self {
        Self { title: title.to_owned(), body, status: StatusCode::OK }
    }

    /// Sets the status.
    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let title = escape(&self.title);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} · chatroom</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
             <header><a href=\"/\">chatroom</a></header>\n<main>\n<h1>{title}</h1>\n{}\n</main>\n</body>\n</html>\n",
            self.body
        );
        let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::REFERRER_POLICY, "same-origin")];
        (self.status, headers, html).into_response()
    }
}

/// Makes text harmless inside HTML, in attributes as well.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Writes what went wrong above a form.
pub(super) fn alert(text: Option<&str>) -> String {
    text.map(|text| format!("<p class=\"alert\" role=\"alert\">{}.</p>", escape(text))).unwrap_or_default()
}

/// Writes how long ago something was, with the exact time for machines.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis_since(then).max(0) / 1000;
    let words = match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    };
    let exact = utc(then);
    format!("<time datetime=\"{exact}\" title=\"{exact}\">{words}</time>")
}

/// Writes a time as RFC 3339, in UTC.
fn utc(time: Timestamp) -> String {
    let seconds = time.0.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years counted from March, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
    }

    #[test]
    fn times_are_written_as_people_and_programs_read_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_825_600_123, "2000-02-29T12:00:00Z"),
            (1_709_251_199_000, "2024-02-29T23:59:59Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(Timestamp(millis)), text);
        }
        assert!(ago(Timestamp(0), Timestamp(125_000)).contains(">2 min ago<"));
    }
}
