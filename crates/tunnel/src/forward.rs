//! Passing a caller's request on to a peer.

use axum::body::Body;
use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Request, Uri};

/// Headers that concern one hop only.
const HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
    HOST,
];

/// Headers by which the caller is known here, and nobody else's business.
const CALLER: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// A path a request cannot have.
#[derive(Debug, thiserror::Error)]
#[error("not a path: start it with a slash")]
pub struct BadPath;

/// Makes a caller's request one for a peer, at `path` (with its query, if any).
///
/// Drops what concerns this hop only, and what proves who the caller is here:
/// authorization and cookies. The body is passed on as it is.
pub fn for_peer(request: Request<Body>, path: &str) -> Result<Request<Body>, BadPath> {
    let (mut head, body) = request.into_parts();
    if !path.starts_with('/') {
        return Err(BadPath);
    }
    head.uri = Uri::builder().path_and_query(path).build().map_err(|_| BadPath)?;
    for name in named_by_connection(&head.headers) {
        head.headers.remove(name);
    }
    for name in HOP.iter().chain(&CALLER) {
        head.headers.remove(name);
    }
    // They carry this hop's upgrade and the caller's identity.
    head.extensions.clear();
    Ok(Request::from_parts(head, body))
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_the_peer_is_passed_on() {
        let request = Request::post("http://here.example/api/x?secret=1")
            .header("host", "here.example")
            .header("connection", "keep-alive, X-Hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("transfer-encoding", "chunked")
            .header("authorization", "Bearer crs_x")
            .header("cookie", "chatroom_session=crs_x")
            .header("content-type", "text/plain")
            .header("x-kept", "yes")
            .extension("who called")
            .body(Body::empty())
            .unwrap();
        let request = for_peer(request, "/agents?all=1").unwrap();
        assert_eq!(request.uri(), "/agents?all=1");
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "x-kept"]);
        assert!(request.extensions().get::<&str>().is_none());
    }

    #[test]
    fn a_path_is_only_a_path() {
        for path in ["agents", "http://elsewhere/x", "", "/a b"] {
            let request = Request::new(Body::empty());
            assert!(for_peer(request, path).is_err(), "{path:?}");
        }
        let request = for_peer(Request::new(Body::empty()), "//elsewhere/x").unwrap();
        assert_eq!(request.uri().authority(), None);
    }
}
