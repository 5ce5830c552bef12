//! What Docker would answer at its socket, where none runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// A server with fixed answers. It ends with the value.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// What is asked for to end it.
const END: &str = "/end";

impl Engine {
    /// Answers at a socket: a path, without what is behind a question mark, and its JSON. For
    /// others there is nothing.
    #[track_caller]
    pub(crate) fn start(socket: &Path, answers: Vec<(String, String)>) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if answer(&stream, &answers).as_deref() == Some(END) {
                    return;
                }
            }
        });
        Self {
            socket: socket.to_owned(),
            thread: Some(thread),
        }
    }
}

/// Answers one question, and returns the path.
fn answer(mut stream: &UnixStream, answers: &[(String, String)]) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(['?', ' ']).nth(1)?.to_owned();
    // Its headers end with an empty line.
    lines.find(|line| line.as_ref().map_or(true, String::is_empty));
    let found = answers.iter().find(|(known, _)| *known == path);
    let (status, body) = match found {
        Some((_, body)) => ("200 OK", body.as_str()),
        None => ("404 Not Found", "{}"),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // Whoever hangs up has heard enough.
    drop(stream.write_all(format!("{head}{body}").as_bytes()));
    Some(path)
}

impl Drop for Engine {
    fn drop(&mut self) {
        let asked = UnixStream::connect(&self.socket)
            .and_then(|mut stream| stream.write_all(format!("GET {END} x\r\n\r\n").as_bytes()));
        if let (Ok(()), Some(thread)) = (asked, self.thread.take()) {
            drop(thread.join());
        }
    }
}
