//! Waits for a file to change.
//!
//! On Linux by inotify. Elsewhere, and where the system grants no inotify instance (`fs.inotify.max_user_instances`),
//! the waiter looks again every [`TICK`].

use nix::poll::PollTimeout;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

/// How often a file is looked at where nothing tells that it changed.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// A watch on one file.
#[derive(Debug)]
pub(super) struct Watch {
    #[cfg(target_os = "linux")]
    inotify: Option<nix::sys::inotify::Inotify>,
}

impl Watch {
    /// Watches `path` from now on; never fails, see the module.
    #[cfg(target_os = "linux")]
    pub(super) fn new(path: &Path) -> Watch {
        use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok().and_then(|inotify| {
            let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CLOSE_WRITE;
            inotify.add_watch(path, flags).ok().map(|_| inotify)
        });
        Watch { inotify }
    }

    /// Watches `path` from now on; never fails, see the module.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn new(_: &Path) -> Watch {
        Watch {}
    }

    /// What becomes readable when the file changes; `None`: look again after [`TICK`].
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsFd;
            self.inotify.as_ref().map(|inotify| inotify.as_fd())
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Forgets the changes so far, before the file is read: a change during the reading is seen by the next wait.
    pub(super) fn clear(&self) {
        #[cfg(target_os = "linux")]
        if let Some(inotify) = &self.inotify {
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}

/// `left` for `poll`, rounded up: a wait must not end before its time and spin.
pub(super) fn poll_timeout(left: Duration) -> PollTimeout {
    i32::try_from(left.as_nanos().div_ceil(1_000_000))
        .ok()
        .and_then(|ms| PollTimeout::try_from(ms).ok())
        .unwrap_or(PollTimeout::MAX)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, poll};
    use std::io::Write;

    #[test]
    fn a_change_is_told_once_and_not_before_it_happens() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let watch = Watch::new(file.path());
        let changed = |timeout| {
            let mut fds = [PollFd::new(watch.fd().expect("the system grants an inotify instance"), PollFlags::POLLIN)];
            poll(&mut fds, poll_timeout(timeout)).unwrap() > 0
        };
        assert!(!changed(Duration::ZERO));
        for _ in 0..3 {
            file.write_all(b"x").unwrap();
            assert!(changed(Duration::from_secs(60)));
            watch.clear();
            assert!(!changed(Duration::ZERO));
        }
    }

    #[test]
    fn a_wait_is_rounded_up_and_never_overflows() {
        assert_eq!(poll_timeout(Duration::ZERO), PollTimeout::ZERO);
        assert_eq!(poll_timeout(Duration::from_nanos(1)), PollTimeout::from(1u8));
        assert_eq!(poll_timeout(Duration::from_micros(1001)), PollTimeout::from(2u8));
        assert_eq!(poll_timeout(Duration::MAX), PollTimeout::MAX);
    }
}
