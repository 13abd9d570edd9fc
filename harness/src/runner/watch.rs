//! Waits for a file to change.
//!
//! On Linux by inotify. Elsewhere, and where the system grants no inotify instance (`fs.inotify.max_user_instances`),
//! the waiter looks again every [`TICK`].

use nix::poll::PollTimeout;
#[cfg(target_os = "linux")]
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::os::fd::BorrowedFd;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a file is looked at where nothing tells that it changed.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Inotify instances that are not in use. Closing one waits for a grace period of the kernel, some 6 ms, which every
/// trial would pay at its end; taking a watch off does not wait.
#[cfg(target_os = "linux")]
static IDLE: Mutex<Vec<Inotify>> = Mutex::new(Vec::new());

/// A watch on one file.
#[derive(Debug)]
pub(super) struct Watch {
    #[cfg(target_os = "linux")]
    inotify: Option<(Inotify, WatchDescriptor)>,
}

impl Watch {
    /// Watches `path` from now on; never fails, see the module.
    #[cfg(target_os = "linux")]
    pub(super) fn new(path: &Path) -> Watch {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let instance = idle.or_else(|| Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok());
        let inotify = instance.and_then(|inotify| {
            let watch = inotify.add_watch(path, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CLOSE_WRITE).ok()?;
            Some((inotify, watch))
        });
        let watch = Watch { inotify };
        // What an earlier watch on the same instance has left.
        watch.clear();
        watch
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
            self.inotify.as_ref().map(|(inotify, _)| inotify.as_fd())
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Forgets the changes so far, before the file is read: a change during the reading is seen by the next wait.
    pub(super) fn clear(&self) {
        #[cfg(target_os = "linux")]
        if let Some((inotify, _)) = &self.inotify {
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((inotify, watch)) = self.inotify.take() {
            // Fails if the file is gone, and the watch with it.
            let _ = inotify.rm_watch(watch);
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(inotify);
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
    fn an_instance_that_was_used_before_tells_of_the_new_file_only() {
        let (mut old, mut new) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let first = Watch::new(old.path());
        old.write_all(b"x").unwrap();
        drop(first);
        // Whether or not this one gets the same instance, nothing of the old file is told.
        let watch = Watch::new(new.path());
        old.write_all(b"x").unwrap();
        let changed = || {
            let mut fds = [PollFd::new(watch.fd().unwrap(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
        };
        assert!(!changed());
        new.write_all(b"x").unwrap();
        assert!(changed());
    }

    #[test]
    fn a_wait_is_rounded_up_and_never_overflows() {
        assert_eq!(poll_timeout(Duration::ZERO), PollTimeout::ZERO);
        assert_eq!(poll_timeout(Duration::from_nanos(1)), PollTimeout::from(1u8));
        assert_eq!(poll_timeout(Duration::from_micros(1001)), PollTimeout::from(2u8));
        assert_eq!(poll_timeout(Duration::MAX), PollTimeout::MAX);
    }
}
