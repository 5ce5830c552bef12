//! Asking a future for what it has without waiting for it.

use std::future::{Future, ready};

use tokio::task::yield_now;

/// What a future says once the runtime has looked for what happened meanwhile; `None` if it would have
/// to wait. It is dropped then. A timeout of no time at all would do the same, but takes the timer's
/// millisecond.
pub(super) async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    // Those that yield are woken after the runtime's look at sockets and signals.
    yield_now().await;
    tokio::select! {
        biased;
        said = future => Some(said),
        () = ready(()) => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use std::future::pending;
    use std::io::Write as _;

    use tokio::io::AsyncReadExt as _;
    use tokio::runtime::Builder;

    use super::at_once;

    #[test]
    fn it_says_what_has_come_and_waits_for_nothing() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(at_once(async { 1 }).await, Some(1));
            assert_eq!(at_once(pending::<u8>()).await, None);
            let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let mut ours = tokio::net::UnixStream::from_std(ours).unwrap();
            let mut byte = [0];
            assert!(at_once(ours.read(&mut byte)).await.is_none());
            theirs.write_all(&[7]).unwrap();
            // Here by now: the runtime only has to look.
            assert!(at_once(ours.read(&mut byte)).await.is_some());
            assert_eq!(byte, [7]);
        });
    }
}
