//! The demo's two ends of a connection: as small as they can be and still be real.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// What the server has for everybody.
const PAGE: &str = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello from outside\n";

/// Longer than anything here takes, short enough to notice that it doesn't work.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves the page until killed. Says `ready` once connections are taken.
pub(super) fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("can't bind {address}"))?;
    println!("ready");
    for connection in listener.incoming() {
        let mut connection = connection?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut request = [0; 1024];
        // One segment holds the whole request, and what is in it makes no difference.
        let _length = connection.read(&mut request)?;
        connection.write_all(PAGE.as_bytes())?;
    }
    Ok(())
}

/// Fetches the page and says how that went; a refused connection is an answer too.
pub(super) fn fetch(address: SocketAddr) -> Result<()> {
    let mut connection = match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(connection) => connection,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            println!("connection refused");
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| format!("can't connect to {address}")),
    };
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    connection.read_to_string(&mut page)?;
    ensure!(
        page == PAGE,
        "{address} answered with something else: {page}"
    );
    println!("{} bytes received", page.len());
    Ok(())
}
