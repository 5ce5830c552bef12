//! TCP sockets whose both ends a test holds in its hands.
//!
//! Clients have ports of their own choice, so that a scenario's label can name them.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::namespace::Namespace;
use crate::wait::{patience, wait_for};

/// A connection, by both its ends.
#[derive(Debug)]
pub struct Connection {
    /// The end that opened it.
    pub client: TcpStream,
    /// The end that accepted it.
    pub server: TcpStream,
}

impl Connection {
    /// A connection from the address `from` to one that answers at `to`, where the listener
    /// itself is bound to `at`, which is another address if there is translation on the way.
    ///
    /// # Panics
    ///
    /// When it can't be made.
    #[must_use]
    #[track_caller]
    pub fn open(
        (client, from): (&Namespace, &str),
        to: &str,
        (server, at): (&Namespace, &str),
    ) -> Self {
        let listener = listen(server, at, 16);
        let client = match connect(client, from, to) {
            Ok(client) => client,
            Err(error) => panic!("{from} to {to}: {error}"),
        };
        match listener.accept() {
            Ok((server, _)) => Self {
                client,
                server: patient(server),
            },
            Err(error) => panic!("accept at {at}: {error}"),
        }
    }

    /// The client asks and the server answers; both have read all there was.
    ///
    /// # Panics
    ///
    /// When something doesn't arrive.
    #[track_caller]
    pub fn exchange(&mut self) {
        say(&mut self.client, b"ask");
        hear(&mut self.server, b"ask");
        say(&mut self.server, b"answer");
        hear(&mut self.client, b"answer");
    }
}

/// A listener that keeps at most `backlog` + 1 connections which nobody has accepted.
///
/// # Panics
///
/// When it can't be made.
#[must_use]
#[track_caller]
pub fn listen(namespace: &Namespace, at: &str, backlog: i32) -> TcpListener {
    let at = address(at);
    let made = namespace.run(|| {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&at.into())?;
        socket.listen(backlog)?;
        // Holds for accept(2) as well.
        socket.set_read_timeout(Some(patience()))?;
        Ok::<_, Error>(socket)
    });
    match made {
        Ok(socket) => socket.into(),
        Err(error) => panic!("nobody can listen at {at}: {error}"),
    }
}

/// Connects from one address to another.
///
/// # Errors
///
/// As connect(2).
#[track_caller]
pub fn connect(namespace: &Namespace, from: &str, to: &str) -> Result<TcpStream, Error> {
    let (from, to) = (address(from), address(to));
    let socket = namespace.run(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
        Ok::<_, Error>(socket)
    })?;
    socket.connect_timeout(&to.into(), patience())?;
    Ok(patient(socket.into()))
}

/// Connects from one address to another, where somebody is to refuse that.
///
/// # Panics
///
/// When it is not refused.
#[track_caller]
pub fn refused(namespace: &Namespace, from: &str, to: &str) {
    match connect(namespace, from, to) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        other => panic!("{from} to {to} was to be refused: {other:?}"),
    }
}

/// Sends this.
///
/// # Panics
///
/// When the kernel doesn't take it.
#[track_caller]
pub fn say(stream: &mut TcpStream, what: &[u8]) {
    if let Err(error) = stream.write_all(what) {
        panic!("{stream:?} can't send: {error}");
    }
}

/// Reads this.
///
/// # Panics
///
/// When it is something else, or doesn't come.
#[track_caller]
pub fn hear(stream: &mut TcpStream, what: &[u8]) {
    let mut heard = vec![0; what.len()];
    match stream.read_exact(&mut heard) {
        Ok(()) => assert_eq!(heard, what),
        Err(error) => panic!("{stream:?} doesn't hear anything: {error}"),
    }
}

/// Waits for data to lie there, and leaves it there.
///
/// # Panics
///
/// When none comes.
#[track_caller]
pub fn leave_unread(stream: &TcpStream) {
    match stream.peek(&mut [0]) {
        Ok(1) => {}
        other => panic!("{stream:?} was to receive something: {other:?}"),
    }
}

/// Reads to the end that the peer has made.
///
/// # Panics
///
/// When the peer made none, or another.
#[track_caller]
pub fn hear_the_end(stream: &mut TcpStream) {
    match stream.read(&mut [0]) {
        Ok(0) => {}
        other => panic!("{stream:?} was to be closed by its peer: {other:?}"),
    }
}

/// Closes it as one does who wants to be rid of it at once: `SO_LINGER` of zero.
///
/// # Panics
///
/// When the option can't be set.
#[track_caller]
pub fn abort(stream: TcpStream) {
    if let Err(error) = SockRef::from(&stream).set_linger(Some(Duration::ZERO)) {
        panic!("SO_LINGER: {error}");
    }
}

/// Waits until the connection has failed, and says how.
///
/// # Panics
///
/// When it stays as it is.
#[track_caller]
pub fn wait_until_broken(stream: &TcpStream) -> Error {
    wait_for("the connection to break", || {
        stream.take_error().ok().flatten()
    })
}

/// Parses an address.
///
/// # Panics
///
/// When it isn't one.
#[must_use]
#[track_caller]
pub fn address(text: &str) -> SocketAddr {
    match text.parse() {
        Ok(address) => address,
        Err(error) => panic!("{text}: {error}"),
    }
}

/// So that nothing that a scenario waits for can keep it for ever.
#[track_caller]
fn patient(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_read_timeout(Some(patience())) {
        panic!("SO_RCVTIMEO: {error}");
    }
    stream
}
