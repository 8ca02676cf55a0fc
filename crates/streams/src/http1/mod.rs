//! HTTP/1.1, as the threads that serve nothing but streams speak it.
//!
//! There may be tens of thousands of connections, and nearly all of them wait. So one that waits holds its socket and
//! nothing else: what comes is read through one buffer of the thread, and what goes is put together when it goes. (A
//! server that has to serve anything keeps 16 KiB for each.) What a newcomer would get wrong: bytes that came behind a
//! request belong to the next one, and a request that cannot be understood ends its connection, because nobody knows
//! where the next one begins.

mod answer;
mod connection;
mod request;

use std::cell::Cell;
use std::convert::Infallible;
use std::io::Cursor;
use std::pin::pin;

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;

pub(crate) use connection::Connection;

use crate::router::Service;
use answer::Manner;
use connection::Came;

/// What becomes of a connection.
pub(crate) enum Next {
    /// It is over.
    Closed,
    /// It sends requests.
    Requests(Connection),
    /// It is sent what comes, for as long as it likes.
    Follow(Connection, Following),
    /// It speaks HTTP/2.
    Http2(Connection),
}

/// An answer whose end nobody knows yet.
pub(crate) struct Following {
    body: Body,
    manner: Manner,
}

/// Answers requests until the connection ends, or goes on otherwise.
pub(crate) async fn requests(mut connection: Connection, service: Service, ends: watch::Receiver<bool>) -> Next {
    let mut end = pin!(until(ends.clone()));
    loop {
        tokio::select! {
            biased;
            is_there = connection.begin() => if !is_there { return Next::Closed },
            () = &mut end => return Next::Closed,
        }
        let (request, mut manner) = match connection.request(service.largest(), service.patience()).await {
            Ok(Came::Request(request, manner)) => (request, manner),
            Ok(Came::Http2) => return Next::Http2(connection),
            Ok(Came::Nothing) => return Next::Closed,
            Err(status) => {
                // In a box: hardly any connection gets here, and all of them would be larger.
                Box::pin(connection.refuse(refusal(&service, status))).await;
                return Next::Closed;
            }
        };
        let response = tokio::select! {
            biased;
            response = service.answer(request) => response,
            // Nobody waits for it any more.
            () = connection.gone() => return Next::Closed,
        };
        manner.keeps &= !*ends.borrow();
        match connection.answer(response, manner).await {
            Ok(Some(following)) => return Next::Follow(connection, following),
            Ok(None) if manner.keeps => {}
            Ok(None) | Err(_) => return Next::Closed,
        }
    }
}

/// Sends what comes, as it comes.
pub(crate) async fn follow(mut connection: Connection, mut following: Following) -> Next {
    let manner = following.manner;
    loop {
        let frame = tokio::select! {
            biased;
            frame = following.body.frame() => frame,
            () = connection.gone() => return Next::Closed,
        };
        let sent = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => connection.chunk(&data, manner).await,
                // Trailers are not offered, and an empty chunk would be the last.
                Ok(_) | Err(_) => Ok(()),
            },
            // Whoever reads learns by the missing end that something is missing.
            Some(Err(_)) => return Next::Closed,
            None => {
                return match connection.last_chunk(manner).await {
                    Ok(()) if manner.keeps => Next::Requests(connection),
                    Ok(()) | Err(_) => Next::Closed,
                };
            }
        };
        if sent.is_err() {
            return Next::Closed;
        }
        give_way();
    }
}

/// Lets other programs have the core after so many parts were sent, if they wait for it: among them are those that were
/// sent to, when they run on the same machine.
fn give_way() {
    const PARTS: u32 = 32;
    thread_local! {
        static SENT: Cell<u32> = const { Cell::new(0) };
    }
    let sent = SENT.get() + 1;
    SENT.set(sent % PARTS);
    if sent == PARTS {
        std::thread::yield_now();
    }
}

/// Leaves a connection that speaks HTTP/2 to those who know how.
pub(crate) async fn http2(connection: Connection, service: Service, ends: watch::Receiver<bool>) -> Next {
    let answer = service_fn(|request: Request<Incoming>| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(Box::new(request.map(Body::new))).await) }
    });
    let (socket, held) = connection.into_parts();
    let (read, write) = socket.into_split();
    let socket = TokioIo::new(tokio::io::join(Cursor::new(held).chain(read), write));
    let mut served = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(socket, answer));
    tokio::select! {
        // What goes wrong with a connection is its client's to know.
        _ = served.as_mut() => return Next::Closed,
        () = until(ends) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
    Next::Closed
}

/// Waits until it is to end.
pub(crate) async fn until(mut ends: watch::Receiver<bool>) {
    // Without a sender there is nobody left to serve for.
    let _ = ends.wait_for(|is_ending| *is_ending).await;
}

fn refusal(service: &Service, status: StatusCode) -> Response {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => service.too_large(),
        StatusCode::REQUEST_TIMEOUT => service.refuse(status, "the rest of the request did not come in time"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => service.refuse(status, "the head of the request is too long"),
        _ => service.refuse(status, "this is no request of HTTP/1.1"),
    }
}
