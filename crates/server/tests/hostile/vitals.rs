//! What the system says of a running server: its memory, its time on a processor, its sockets. For the sieges.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// A process, seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    pid: u32,
}

impl Vitals {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    fn read(self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).unwrap()
    }

    fn status(self, name: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.unwrap().trim_matches([':', '\t', ' ', 'k', 'B']);
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// Bytes of memory now.
    pub(crate) fn memory(self) -> u64 {
        self.status("VmRSS")
    }

    /// The most bytes of memory since [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak(self) -> u64 {
        self.status("VmHWM")
    }

    pub(crate) fn forget_peak(self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").unwrap();
    }

    /// Time on a processor, of all threads.
    pub(crate) fn cpu(self) -> Duration {
        let stat = self.read("stat");
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // Fields 14 and 15, of which the first here is the third. In hundredths of a second, wherever Linux runs.
        let ticks = fields.split_whitespace().skip(11).take(2);
        Duration::from_millis(ticks.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
    }

    /// How long the thread that waited longest had to wait for a processor.
    pub(crate) fn waited(self) -> Duration {
        fs::read_dir(format!("/proc/{}/task", self.pid))
            .unwrap()
            .map(|task| waited(&task.unwrap().path()))
            .max()
            .unwrap_or_default()
    }

    /// Open files that are sockets.
    pub(crate) fn sockets(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid))
            .unwrap()
            // One that has been closed meanwhile is none.
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }
}

/// How long the calling thread had to wait for a processor.
pub(crate) fn this_thread_waited() -> Duration {
    waited(Path::new("/proc/thread-self"))
}

/// The second field, where the system keeps such accounts.
fn waited(task: &Path) -> Duration {
    let accounts = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let nanos = accounts.split(' ').nth(1);
    Duration::from_nanos(nanos.map_or(0, |nanos| nanos.parse().unwrap()))
}
