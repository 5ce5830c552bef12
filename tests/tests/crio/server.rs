//! A server that speaks CRI (`runtime.v1`, k8s.io/cri-api) over HTTP/2 as CRI-O does, with the
//! messages that CRI-O sends, fields and all.

use std::collections::HashMap;
use std::convert::Infallible;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::sync::oneshot;

/// What comes of a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A message.
    Message(Vec<u8>),
    /// A refusal: gRPC's number and words.
    Refusal(u32, &'static str),
    /// Nothing, ever.
    Silence,
}

/// The server. It ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers at a socket. `answer` is asked with the method's path.
    #[track_caller]
    pub(crate) fn start(
        socket: &Path,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(serve(listener, stopped, Arc::new(answer)));
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve<A: Fn(&str) -> Answer + Send + Sync + 'static>(
    listener: UnixListener,
    mut stopped: oneshot::Receiver<()>,
    answer: Arc<A>,
) {
    let listener = tokio::net::UnixListener::from_std(listener).expect("a socket");
    loop {
        let (stream, _) = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted.expect("a connection"),
        };
        let answer = Arc::clone(&answer);
        let service = service_fn(move |request| reply(request, Arc::clone(&answer)));
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // Whoever hangs up has heard enough.
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

async fn reply<A: Fn(&str) -> Answer>(
    request: Request<Incoming>,
    answer: Arc<A>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let (message, status, words) = match answer(request.uri().path()) {
        Answer::Message(message) => (Some(message), 0, ""),
        Answer::Refusal(status, words) => (None, status, words),
        Answer::Silence => std::future::pending().await,
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    trailers.insert("grpc-message", words.parse().expect("words"));
    let frame = message.map_or_else(Vec::new, |message| {
        let length = u32::try_from(message.len()).expect("a short message");
        [&[0][..], &length.to_be_bytes(), &message].concat()
    });
    let body = Full::new(Bytes::from(frame)).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    let kind = "application/grpc".parse().expect("a type");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}

/// `ListPodSandboxResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    pub(crate) items: Vec<Sandbox>,
}

/// `PodSandbox`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sandbox {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) metadata: Option<SandboxMetadata>,
    /// 0 is ready.
    #[prost(int32, tag = "3")]
    pub(crate) state: i32,
    /// In nanoseconds since the epoch.
    #[prost(int64, tag = "4")]
    pub(crate) created_at: i64,
    #[prost(map = "string, string", tag = "5")]
    pub(crate) labels: HashMap<String, String>,
    #[prost(map = "string, string", tag = "6")]
    pub(crate) annotations: HashMap<String, String>,
    #[prost(string, tag = "7")]
    pub(crate) runtime_handler: String,
}

/// `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SandboxMetadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) uid: String,
    #[prost(string, tag = "3")]
    pub(crate) namespace: String,
    #[prost(uint32, tag = "4")]
    pub(crate) attempt: u32,
}

/// `ListContainersResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Containers {
    #[prost(message, repeated, tag = "1")]
    pub(crate) containers: Vec<Container>,
}

/// `Container`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Container {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    pub(crate) image: Option<Image>,
    #[prost(string, tag = "5")]
    pub(crate) image_ref: String,
    /// 1 is running.
    #[prost(int32, tag = "6")]
    pub(crate) state: i32,
    #[prost(int64, tag = "7")]
    pub(crate) created_at: i64,
    #[prost(map = "string, string", tag = "8")]
    pub(crate) labels: HashMap<String, String>,
}

/// `ContainerMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint32, tag = "2")]
    pub(crate) attempt: u32,
}

/// `ImageSpec`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Image {
    #[prost(string, tag = "1")]
    pub(crate) image: String,
}
