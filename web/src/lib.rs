//! The web app, as files in the program.
//!
//! `app/` is React and Vite, built by `build.rs`. This crate knows nothing of HTTP: the server finds a file here and
//! says what belongs beside it.

/// One file of the app.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    path: &'static str,
    /// What it holds.
    pub bytes: &'static [u8],
    /// The same, compressed with Brotli (RFC 7932), where that is smaller.
    pub brotli: Option<&'static [u8]>,
    /// A strong entity tag (RFC 9110, section 8.8.3) of `bytes`, in its quotes.
    pub tag: &'static str,
}

/// In the order of their paths.
static ASSETS: &[Asset] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));

impl Asset {
    /// Returns what kind of file it is, for `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map_or("", |(_, end)| end) {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "woff2" => "font/woff2",
            "webmanifest" => "application/manifest+json",
            "txt" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }

    /// Returns whether its name changes whenever it does.
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }
}

/// Looks up a file by its path without the leading slash.
pub fn find(path: &str) -> Option<&'static Asset> {
    let at = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    ASSETS.get(at)
}

/// Returns the page of the app; `None` in a program that was built without it.
pub fn index() -> Option<&'static Asset> {
    find("index.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_by_its_path_and_has_a_type() {
        for asset in ASSETS {
            assert_eq!(find(asset.path).expect("it is there").tag, asset.tag);
            assert_ne!(asset.content_type(), "application/octet-stream", "{}", asset.path);
        }
        assert!(find("nothing").is_none());
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_runs_no_script_of_its_own() {
        let Some(page) = index() else { return };
        let page = std::str::from_utf8(page.bytes).expect("UTF-8");
        assert!(!page.contains("http:") && !page.contains("https:"), "{page}");
        for script in page.split("<script").skip(1) {
            assert!(script.split('>').next().is_some_and(|tag| tag.contains(" src=\"/")), "{script}");
        }
    }
}
