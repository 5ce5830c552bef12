//! Writing on a thread of its own, so that whoever makes the bytes never waits for a disk.
//!
//! Between the two is a queue with a bound. Nothing blocks when it is full, and nothing is thrown
//! away: [`Spool::has_room`] says so, and whoever makes the bytes leaves what it has where it is.
//! For packets that is the ring, and what finds no place there is counted by the kernel side, by
//! interface, as any other loss.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::{OutputError, buffer::FLUSH_AT};

/// How many bytes may wait for the thread. Many of its writes, so that one that takes long is not
/// noticed; little beside the ring, which is what an overload fills.
pub const QUEUE: u64 = 8 << 20;
/// How often the thread looks after its destination when there is nothing to write.
const IDLE: Duration = Duration::from_millis(250);
/// How often whoever waits for the thread looks.
const POLL: Duration = Duration::from_millis(1);
/// How many emptied buffers are kept for use again. One that has to be made anew is given its memory
/// by the kernel, page by page; but with as many kept as fill the queue, what one burst took would stay
/// taken for weeks.
const KEPT: usize = 8;

/// What the thread does. Every method may take as long as the destination does.
pub trait Background: Send + 'static {
    /// What it can be told besides bytes.
    type Order: Send + 'static;

    /// Writes whole units, or counts them as lost after a failure. What is left in `bytes` is
    /// thrown away.
    ///
    /// # Errors
    ///
    /// Where the destination takes no more; the same again on every later call.
    fn write(&mut self, bytes: &mut Vec<u8>) -> Result<(), OutputError>;

    /// Does as told.
    ///
    /// # Errors
    ///
    /// As [`Background::write`].
    fn obey(&mut self, order: Self::Order) -> Result<(), OutputError>;

    /// Called when nothing has come for a while.
    ///
    /// # Errors
    ///
    /// As [`Background::write`].
    fn idle(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    /// Bytes that its destination has as whole units, of those that were written.
    fn delivered(&self) -> u64;
}

enum Job<O> {
    Bytes(Vec<u8>),
    Order(O),
}

/// What both sides see.
#[derive(Debug, Default)]
struct Shared {
    queued: AtomicU64,
    /// Bytes and orders that the thread hasn't done with.
    jobs: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<OutputError>>,
    /// Emptied buffers. The last one comes first: it is the likeliest to be in a cache.
    emptied: Mutex<Vec<Vec<u8>>>,
}

impl Shared {
    fn note(&self, result: Result<(), OutputError>) {
        let Err(error) = result else { return };
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.failed.store(true, Ordering::Release);
    }

    fn emptied(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.emptied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<OutputError> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone()
    }
}

/// The near end of the queue. Dropped, the thread writes what is queued and ends by itself.
#[derive(Debug)]
pub struct Spool<B: Background> {
    buffer: Vec<u8>,
    appended: u64,
    shared: Arc<Shared>,
    jobs: Sender<Job<B::Order>>,
    thread: JoinHandle<B>,
}

impl<B: Background> Spool<B> {
    /// Starts the thread. `name` is the thread's, of 15 bytes at the most.
    ///
    /// # Errors
    ///
    /// When the system has no thread for us.
    pub fn start(name: &str, background: B) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (jobs, coming) = channel();
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(background, &coming, &seen))?;
        Ok(Self {
            buffer: buffer(),
            appended: 0,
            shared,
            jobs,
            thread,
        })
    }

    /// Appends what `put` puts at the end of the buffer, which must be whole units, and hands it
    /// to the thread if it is much. It never waits; see [`Spool::has_room`].
    #[inline]
    pub fn append(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        put(&mut self.buffer);
        self.appended += (self.buffer.len() - before) as u64;
        if self.buffer.len() >= FLUSH_AT {
            self.hand_over();
        }
    }

    /// Gives the thread an order, behind all that was appended.
    pub fn order(&mut self, order: B::Order) {
        self.hand_over();
        self.send(Job::Order(order));
    }

    /// Hands what waits to the thread.
    pub fn hand_over(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let empty = self.shared.emptied().pop().unwrap_or_else(buffer);
        let bytes = std::mem::replace(&mut self.buffer, empty);
        self.shared
            .queued
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.send(Job::Bytes(bytes));
    }

    /// Hands what waits to the thread if that has nothing else to do: somebody reads along, and
    /// nothing is gained by many small writes while a large one takes its time.
    pub fn relay(&mut self) {
        if self.shared.queued.load(Ordering::Relaxed) == 0 {
            self.hand_over();
        }
    }

    /// Whether the queue takes more. It isn't refused: what is appended without looking, waits.
    #[must_use]
    #[inline]
    pub fn has_room(&self) -> bool {
        // Below that much a buffer isn't handed over, and nothing can have changed.
        self.queued() < QUEUE
    }

    /// Bytes that wait.
    #[must_use]
    #[inline]
    pub fn queued(&self) -> u64 {
        self.shared.queued.load(Ordering::Relaxed) + self.buffer.len() as u64
    }

    /// Why nothing more is written, once the thread has met a failure.
    #[must_use]
    pub fn failure(&self) -> Option<OutputError> {
        self.shared.failure()
    }

    /// [`Spool::failure`] as a result.
    ///
    /// # Errors
    ///
    /// The failure.
    #[inline]
    pub fn check(&self) -> Result<(), OutputError> {
        if !self.shared.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.failure().map_or(Ok(()), Err)
    }

    /// Bytes appended so far.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.appended
    }

    /// Whether nothing was appended.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.appended == 0
    }

    /// Bytes that the destination has as whole units. It lags behind what is true.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.shared.delivered.load(Ordering::Acquire)
    }

    /// Waits until all is written, or was found to be lost. `None` if the thread has panicked.
    pub fn finish(mut self) -> Option<B> {
        self.hand_over();
        drop(self.jobs);
        self.thread.join().ok()
    }

    /// Hands what waits to the thread, and waits until that has done with all, or failed, or the
    /// time is over.
    pub fn settle(&mut self, at_most: Duration) {
        self.hand_over();
        let begun = Instant::now();
        while self.shared.jobs.load(Ordering::Acquire) > 0
            && self.failure().is_none()
            && begun.elapsed() < at_most
        {
            sleep(POLL);
        }
    }

    fn send(&self, job: Job<B::Order>) {
        self.shared.jobs.fetch_add(1, Ordering::Relaxed);
        if self.jobs.send(job).is_err() {
            // It ends by itself only when this end is dropped: it has panicked.
            self.shared.note(Err(OutputError::Abandoned));
        }
    }
}

/// Room for what is handed over at once: units come whole.
fn buffer() -> Vec<u8> {
    Vec::with_capacity(2 * FLUSH_AT)
}

fn work<B: Background>(mut background: B, coming: &Receiver<Job<B::Order>>, shared: &Shared) -> B {
    loop {
        let job = coming.recv_timeout(IDLE);
        let is_job = job.is_ok();
        match job {
            Ok(Job::Bytes(mut bytes)) => {
                let count = bytes.len() as u64;
                shared.note(background.write(&mut bytes));
                shared
                    .delivered
                    .store(background.delivered(), Ordering::Release);
                shared.queued.fetch_sub(count, Ordering::Relaxed);
                bytes.clear();
                let mut emptied = shared.emptied();
                if emptied.len() < KEPT {
                    emptied.push(bytes);
                }
            }
            Ok(Job::Order(order)) => shared.note(background.obey(order)),
            Err(RecvTimeoutError::Timeout) => shared.note(background.idle()),
            Err(RecvTimeoutError::Disconnected) => return background,
        }
        if is_job {
            shared.jobs.fetch_sub(1, Ordering::Release);
        }
    }
}
