//! The endpoint: HTTP/1.1 on one address, for Prometheus and for a person with curl.
//!
//! Whoever asks is bounded: a few connections at a time, one request on each, a few seconds for it
//! all, short heads, no bodies. So nobody who can reach the port can make the capture hold more
//! than some hundred kilobytes for him. What he sends, hyper reads.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::exposition::CONTENT_TYPE;
use crate::error::{Error, Result};

/// Connections at a time. Two Prometheis that scrape, a probe, a person; the rest wait in the
/// socket's backlog.
const CONNECTIONS: usize = 8;
/// For a connection from its first byte to its last: Prometheus gives up after ten seconds unless
/// told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the head of the request.
const HEAD: Duration = Duration::from_secs(5);
/// The longest head; the least that hyper takes.
const LONGEST_HEAD: usize = 8 << 10;
/// How long the capture may take to answer: while it attaches to an interface, it doesn't.
const ANSWER: Duration = Duration::from_secs(5);
/// Pause when the system has no connection for us.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the figures are.
pub const PATH: &str = "/metrics";

/// Somebody wants the page. What the answer is sent through.
pub type Question = oneshot::Sender<String>;

/// Questions to whoever knows the figures, and where they arrive.
#[must_use]
pub fn questions() -> (mpsc::Sender<Question>, mpsc::Receiver<Question>) {
    mpsc::channel(CONNECTIONS)
}

/// Listens at an address. Not before [`serve`] is anybody answered.
///
/// # Errors
///
/// When the address can't be had, with the remedy.
pub fn listen(address: SocketAddr) -> Result<std::net::TcpListener> {
    let failed = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "take another port, or 0 for any",
            io::ErrorKind::AddrNotAvailable => "take an address of this node",
            io::ErrorKind::PermissionDenied => "take a port above 1023",
            _ => "try another address",
        };
        Error::failure(format!("--metrics {address}: {error}: {remedy}"))
    };
    // It sets SO_REUSEADDR: a capture that is started again right away gets its port.
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Answers whoever asks, until the runtime ends. What it returns kept it from beginning.
pub async fn serve(
    listener: std::net::TcpListener,
    questions: mpsc::Sender<Question>,
) -> io::Error {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed, so there will be one.
        let permit = Arc::clone(&connections).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors or memory, or a connection that is gone already.
            sleep(PAUSE).await;
            continue;
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            // What went wrong is the other side's affair.
            let _ = timeout(PATIENCE, converse(stream, questions)).await;
            drop(permit);
        });
    }
}

async fn converse(
    stream: TcpStream,
    questions: mpsc::Sender<Question>,
) -> std::result::Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let questions = questions.clone();
        async move { Ok::<_, Infallible>(answer(&request, &questions).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(
    request: &Request<Incoming>,
    questions: &mpsc::Sender<Question>,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allowed = header::HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(header::ALLOW, allowed);
        return refused;
    }
    match request.uri().path() {
        PATH => match timeout(ANSWER, ask(questions)).await {
            Ok(Some(page)) => respond(StatusCode::OK, CONTENT_TYPE, page.into()),
            _ => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the capture is busy or ending\n",
            ),
        },
        "/" => plain(StatusCode::OK, "nodecap: the figures are at /metrics\n"),
        _ => plain(StatusCode::NOT_FOUND, "the figures are at /metrics\n"),
    }
}

async fn ask(questions: &mpsc::Sender<Question>) -> Option<String> {
    let (question, page) = oneshot::channel();
    questions.send(question).await.ok()?;
    page.await.ok()
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(
        status,
        "text/plain; charset=utf-8",
        Bytes::from_static(text.as_bytes()),
    )
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
