//! One call of gRPC over a socket of the file system
//! (PROTOCOL-HTTP2.md of the grpc repository): a request over HTTP/2, one message each way, and
//! the outcome in the trailers.

use std::path::Path;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

use super::http::Aborted;

/// The longest answer that is read. A container takes some two kilobytes of a list.
const LONGEST: usize = 64 << 20;
/// A flag that says whether the message is compressed, and its length.
const PREFIX: usize = 5;
/// `UNIMPLEMENTED`: the server has no such service.
const UNIMPLEMENTED: &str = "12";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrpcError {
    /// The socket can't be connected to.
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    /// What comes over it is no HTTP, or the connection broke.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The method is none.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    /// The body broke off or is longer than anything sensible.
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It isn't gRPC.
    #[error("it says {0}")]
    Status(StatusCode),
    /// It has no such service.
    #[error("it has no CRI")]
    Unimplemented,
    /// It refuses, with a status of gRPC's and its reason.
    #[error("it refuses with gRPC status {0}{1}")]
    Refused(String, String),
    /// The answer is cut, compressed, or isn't what it should be.
    #[error("its answer can't be read")]
    Malformed,
    /// Likewise.
    #[error("its answer can't be read: {0}")]
    Decode(#[from] prost::DecodeError),
}

/// Calls a method of the server behind `socket` with an encoded message, and returns its answer's.
pub(super) async fn call(socket: &Path, method: &str, message: &[u8]) -> Result<Bytes, GrpcError> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = Aborted(tokio::spawn(connection));
    let request = Request::post(format!("http://localhost{method}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::new(framed(message)))?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(GrpcError::Status(response.status()));
    }
    // A refusal without a message has its status among the headers.
    check(response.headers())?;
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    drop(connection);
    let body = body.map_err(GrpcError::Body)?;
    if let Some(trailers) = body.trailers() {
        check(trailers)?;
    }
    unframed(body.to_bytes()).ok_or(GrpcError::Malformed)
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// The message of an answer that isn't compressed.
fn unframed(body: Bytes) -> Option<Bytes> {
    let (&[flag, a, b, c, d], _) = body.split_first_chunk::<PREFIX>()?;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    let whole = flag == 0 && body.len() == PREFIX.checked_add(length)?;
    whole.then(|| body.slice(PREFIX..))
}

/// Whether headers or trailers tell of a refusal.
fn check(headers: &HeaderMap) -> Result<(), GrpcError> {
    let text = |name| {
        let value = headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match text("grpc-status").as_deref() {
        None | Some("0") => Ok(()),
        Some(UNIMPLEMENTED) => Err(GrpcError::Unimplemented),
        Some(status) => {
            let why = text("grpc-message").map_or_else(String::new, |why| {
                format!(": {}", crate::target::name::printable(&why))
            });
            Err(GrpcError::Refused(status.to_owned(), why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_into_a_frame_and_comes_out_whole_or_not_at_all() {
        let frame = framed(b"abc");
        assert_eq!(&frame[..], b"\0\0\0\0\x03abc");
        assert_eq!(unframed(frame.clone()).as_deref(), Some(&b"abc"[..]));
        assert_eq!(unframed(frame.slice(..7)), None);
        assert_eq!(unframed(Bytes::new()), None);
        assert_eq!(unframed(Bytes::from_static(b"\x01\0\0\0\x01a")), None);
        let huge = Bytes::from_static(b"\0\xff\xff\xff\xffa");
        assert_eq!(unframed(huge), None);
    }

    #[test]
    fn a_refusal_is_told_with_its_reason_and_a_missing_service_apart() {
        let mut headers = HeaderMap::new();
        assert!(check(&headers).is_ok());
        headers.insert("grpc-status", "12".parse().expect("a value"));
        assert!(matches!(check(&headers), Err(GrpcError::Unimplemented)));
        headers.insert("grpc-status", "7".parse().expect("a value"));
        headers.insert("grpc-message", "not\x09you".parse().expect("a value"));
        let refusal = check(&headers).expect_err("a refusal").to_string();
        assert_eq!(refusal, "it refuses with gRPC status 7: not\\tyou");
    }
}
