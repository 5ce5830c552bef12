//! What Prometheus's client libraries tell of any process, under the names that they have agreed
//! on (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::exposition::{Kind, Page};

/// This process.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// When it began, in seconds since the Unix epoch.
    started: f64,
}

impl Process {
    /// Finds out when it began, by the wall clock as that goes now.
    #[must_use]
    pub fn new() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let since_boot = since_boot();
        let age = started_after_boot().map_or(Duration::ZERO, |it| since_boot.saturating_sub(it));
        Self {
            started: now.saturating_sub(age).as_secs_f64(),
        }
    }

    /// Adds its figures. What /proc doesn't tell is left out.
    pub fn tell(&self, page: &mut Page) {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        page.single(
            "process_cpu_seconds_total",
            Kind::Counter,
            "User and system CPU time of this process.",
            seconds(&cpu).as_secs_f64(),
        );
        if let Some((virtual_bytes, resident_bytes)) = memory() {
            page.single(
                "process_resident_memory_bytes",
                Kind::Gauge,
                "Resident memory of this process; the ring's pages are mapped twice and counted twice in it.",
                resident_bytes,
            );
            page.single(
                "process_virtual_memory_bytes",
                Kind::Gauge,
                "Virtual memory of this process.",
                virtual_bytes,
            );
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            page.single(
                "process_open_fds",
                Kind::Gauge,
                "Open file descriptors of this process.",
                // Less the one that they are counted by.
                open.count().saturating_sub(1),
            );
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            page.single(
                "process_max_fds",
                Kind::Gauge,
                "How many file descriptors this process may open.",
                most,
            );
        }
        page.single(
            "process_start_time_seconds",
            Kind::Gauge,
            "When this process began, in seconds since the Unix epoch.",
            self.started,
        );
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds(time: &rustix::time::Timespec) -> Duration {
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn since_boot() -> Duration {
    seconds(&clock_gettime(ClockId::Boottime))
}

/// Field 22 of /proc/self/stat (proc_pid_stat(5)).
fn started_after_boot() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, in which anything may be.
    let ticks: u64 = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    let a_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_secs_f64(ticks as f64 / a_second as f64))
}

/// Virtual and resident bytes.
fn memory() -> Option<(u64, u64)> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages.split_whitespace().map(str::parse::<u64>);
    let page = rustix::param::page_size() as u64;
    Some((pages.next()?.ok()? * page, pages.next()?.ok()? * page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_tells_of_itself() {
        let process = Process::new();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        assert!(process.started <= now.as_secs_f64() && process.started > 1e9);
        let mut page = Page::default();
        process.tell(&mut page);
        let text = page.into_text();
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_virtual_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_start_time_seconds ",
        ] {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value: Option<f64> = line.and_then(|it| it.parse().ok());
            assert!(value.is_some_and(|it| it > 0.0), "{name}: {text}");
        }
    }
}
