//! One question over a socket of the file system, by HTTP/1.1.

use std::path::Path;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// The longest answer that is read. A container takes some two kilobytes of a list.
const LONGEST: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The socket can't be connected to.
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    /// What comes over it is no HTTP, or the connection broke.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The path is none.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    /// The body broke off or is longer than anything sensible.
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It answers, and refuses.
    #[error("it says {0}")]
    Status(StatusCode),
    /// The answer isn't what it should be.
    #[error("its answer can't be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// What the server behind `socket` has at `path`.
pub(super) async fn get(socket: &Path, path: &str) -> Result<Bytes, HttpError> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = Aborted(tokio::spawn(connection));
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    drop(connection);
    Ok(body.map_err(HttpError::Body)?.to_bytes())
}

/// A task that ends with the value, also when the question is given up.
pub(super) struct Aborted<T>(pub(super) tokio::task::JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
