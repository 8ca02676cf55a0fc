//! The web app: its files, and its one page at every address that is not something else.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use chatroom_web::Asset;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::html::Page;

/// What the page may do: load and ask here alone, and run no script that is not a file of ours. Styles are let in
/// from scripts of ours, because a terminal and a dialog set their own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; \
     font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; \
     base-uri 'none'",
);

/// Answers with the page of the app. The app itself finds out what is at its address.
pub(super) fn page(asked: &HeaderMap) -> Response {
    let Some(index) = chatroom_web::index() else {
        let body = "<p>This chatroom was built without its web app. Everything it does is in the command line as well: \
                    <code>chatroom --help</code>.</p>";
        return Page::new("No web app", body.to_owned()).into_response();
    };
    let mut response = file(index, asked);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// Answers with a file, compressed where the caller takes that, or says that the caller has it.
pub(super) fn file(asset: &'static Asset, asked: &HeaderMap) -> Response {
    let keep = if asset.is_immutable() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let packed = asset.brotli.filter(|_| names(asked, header::ACCEPT_ENCODING, "br"));
    // Another encoding is another representation: its tag is weak (RFC 9110, section 8.8.1).
    let tag = if packed.is_some() { format!("W/{}", asset.tag) } else { asset.tag.to_owned() };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    if names(asked, header::IF_NONE_MATCH, asset.tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type()));
    if packed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    *response.body_mut() = Body::from(packed.unwrap_or(asset.bytes));
    response
}

/// Returns whether a list in a header names something, weakly compared.
fn names(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let item = item.split(';').next().unwrap_or_default().trim();
        item.strip_prefix("W/").unwrap_or(item) == wanted
    })
}
