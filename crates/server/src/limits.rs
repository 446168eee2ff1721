//! The limit of open files, and how many connections fit below it. Called when a server starts.

/// What a server needs beside its connections: standard streams, the log, a reserve, and those who come too many and
/// wait for their 503.
const RESERVE: usize = 320;
/// A worker's poll, its waker, a reserve.
const PER_WORKER: usize = 4;
/// As many connections as a server takes by itself, however many files it may open.
pub(crate) const ENOUGH: usize = 1_000_000;

/// Raises the limit of open files as far as the system lets us, and returns it.
pub(crate) fn raise_open_files() -> usize {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => usize::try_from(files).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "cannot tell or raise the limit of open files");
            usize::MAX
        }
    }
}

/// How many connections fit into `files` open files.
pub(crate) fn connections_within(files: usize, workers: usize, listeners: usize) -> usize {
    let needed = RESERVE + workers * (PER_WORKER + listeners);
    files.saturating_sub(needed).clamp(1, ENOUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_rest() {
        assert_eq!(connections_within(1024, 2, 1), 1024 - 320 - 10);
        assert_eq!(connections_within(20_000, 2, 2), 20_000 - 320 - 12);
        assert_eq!(connections_within(64, 2, 1), 1);
        assert_eq!(connections_within(usize::MAX, 64, 8), 1_000_000);
    }

    #[test]
    fn the_limit_is_raised_once_and_for_all() {
        let files = raise_open_files();
        assert!(files > 0);
        assert_eq!(raise_open_files(), files);
    }
}
