//! Which hosts this server answers for, and which pages may make it act.
//!
//! A page of another origin can make a browser send our cookie. It cannot choose
//! the `Host` and `Origin` the browser sends, so both are checked before any
//! route. A page on another port of this computer is another origin as well,
//! although browsers call it the same site.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, Uri, header};

use super::caller::session_cookie;
use crate::app::App;
use crate::config::{Config, split_port};
use crate::error::Error;

/// How long path and query may be together, in bytes.
const ADDRESS_LIMIT: usize = 8 * 1024;
/// How large the headers may be together, in bytes.
const HEADER_LIMIT: usize = 32 * 1024;

/// Lets a request through, or refuses it.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let checked = size(request.uri(), request.headers())
        .and_then(|()| host(&app.config, request.uri(), request.headers()))
        .and_then(|host| origin(&app.config, &host, request.method(), request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Refuses what is longer than anything we send or take.
fn size(uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    let address = uri.path_and_query().map_or(0, |address| address.as_str().len());
    if address > ADDRESS_LIMIT {
        return Err(Error::AddressTooLong(ADDRESS_LIMIT));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > HEADER_LIMIT { Err(Error::HeadersTooLarge(HEADER_LIMIT)) } else { Ok(()) }
}

/// Returns the host a request names, if this server answers for it.
fn host(config: &Config, uri: &Uri, headers: &HeaderMap) -> Result<String, Error> {
    let mut named = headers.get_all(header::HOST).iter();
    let host = match (named.next(), uri.authority()) {
        (Some(host), authority) if named.next().is_none() => {
            let host = host.to_str().map_err(|_| Error::UnknownHost)?;
            if authority.is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host)) {
                return Err(Error::UnknownHost);
            }
            host
        }
        (None, Some(authority)) => authority.as_str(),
        _ => return Err(Error::UnknownHost),
    };
    if config.public_url.is_named_by(host) || is_this_computer(config, host) {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(Error::UnknownHost)
    }
}

/// Returns whether a host is one of the names of the computer itself, with the port this server listens on.
fn is_this_computer(config: &Config, host: &str) -> bool {
    let (name, port) = split_port(host);
    let default = if config.tls.is_some() { 443 } else { 80 };
    let names = ["localhost", "127.0.0.1", "[::1]", "chatroom.localhost"];
    config.on_loopback()
        && port.unwrap_or(default) == config.listen.port()
        && names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Refuses what a page of another origin makes a browser send.
fn origin(config: &Config, host: &str, method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let listens = headers.contains_key(header::UPGRADE)
        || text("accept").is_some_and(|accept| accept.to_ascii_lowercase().contains("text/event-stream"));
    if !changes && !listens {
        return Ok(());
    }
    let site = text("sec-fetch-site");
    let own_page = site == Some("same-origin");
    if !matches!(site, None | Some("same-origin" | "none")) {
        return Err(Error::ForeignOrigin);
    }
    match text("origin") {
        Some(origin) => {
            let scheme = if config.tls.is_some() { "https" } else { "http" };
            let known = origin == config.public_url.to_string()
                || (is_this_computer(config, host) && origin == format!("{scheme}://{host}"));
            if known { Ok(()) } else { Err(Error::ForeignOrigin) }
        }
        // Programs send no Origin, and no cookie either.
        None if !changes || own_page || headers.contains_key(header::AUTHORIZATION) => Ok(()),
        None if session_cookie(headers).is_none() => Ok(()),
        None => Err(Error::ForeignOrigin),
    }
}
