//! Which CPUs a child runs on, and how much of them it has used: one that burns CPU must not take the parent's own, or the
//! parent is late for what it judges.

use std::time::{Duration, Instant};

/// Runs `start`, in which processes and threads are started that shall run on all CPUs of this thread but one. Where there is
/// only one, or the system does not let a thread choose, they run wherever the system puts them.
pub(super) fn all_but_one<T>(start: impl FnOnce() -> T) -> T {
    #[cfg(target_os = "linux")]
    {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        use nix::unistd::Pid;
        let this = Pid::from_raw(0);
        if let Ok(mine) = sched_getaffinity(this) {
            let all: Vec<usize> = (0..CpuSet::count()).filter(|cpu| mine.is_set(*cpu).unwrap_or(false)).collect();
            let mut others = CpuSet::new();
            let fits = all.iter().skip(1).all(|cpu| others.set(*cpu).is_ok());
            if all.len() > 1 && fits && sched_setaffinity(this, &others).is_ok() {
                let started = start();
                // It was this thread's own set a moment ago. Should the system refuse it all the same, this thread shares
                // its CPUs with the child, as it would without any of this.
                let _ = sched_setaffinity(this, &mine);
                return started;
            }
        }
    }
    start()
}

/// How many CPUs a child has that was started with [`all_but_one`].
pub(crate) fn left_to_a_child() -> usize {
    if cfg!(target_os = "linux") { all().saturating_sub(1).max(1) } else { all() }
}

/// How many CPUs this process has.
pub(crate) fn all() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The CPU time that a process of this user has used so far, all its threads together; `None` where the system does not tell.
pub(crate) fn time_of(pid: i32) -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        use nix::time::{clock_getcpuclockid, clock_gettime};
        clock_getcpuclockid(nix::unistd::Pid::from_raw(pid)).and_then(clock_gettime).map(Duration::from).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// What processes other than this one and a child had of the machine's CPUs, from its start on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    began: Instant,
    machine: Duration,
    this: Duration,
}

impl Others {
    /// From now on. `None` where the system does not tell.
    pub(crate) fn watch() -> Option<Others> {
        Some(Others { began: Instant::now(), machine: machine_time()?, this: time_of(std::process::id() as i32)? })
    }

    /// The CPU time of others, and the time since the start; `child` has lived only since then and still does.
    pub(crate) fn so_far(self, child: i32) -> Option<(Duration, Duration)> {
        let machine = machine_time()?.saturating_sub(self.machine);
        let this = time_of(std::process::id() as i32)?.saturating_sub(self.this);
        Some((machine.saturating_sub(this).saturating_sub(time_of(child)?), self.began.elapsed()))
    }
}

/// The CPU time of the whole machine, with what a hypervisor has taken from it, and without what its guests used (which is
/// counted as user time already).
fn machine_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<u64> =
            stat.lines().next()?.split_ascii_whitespace().skip(1).map_while(|ticks| ticks.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal: see proc_stat(5).
        let [user, nice, system, _, _, irq, softirq, steal] = *ticks.first_chunk()?;
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??.max(1) as f64;
        Some(Duration::from_secs_f64((user + nice + system + irq + softirq + steal) as f64 / per_second))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use nix::sched::sched_getaffinity;
    use nix::unistd::Pid;

    #[test]
    fn what_is_started_has_one_cpu_less_and_this_thread_keeps_its_own() {
        let mine = || sched_getaffinity(Pid::from_raw(0)).unwrap();
        let before = mine();
        let inside = all_but_one(mine);
        let count = |set: &nix::sched::CpuSet| {
            (0..nix::sched::CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).count()
        };
        assert_eq!(count(&inside), (count(&before) - 1).max(1));
        assert_eq!(count(&inside), left_to_a_child());
        assert_eq!(mine(), before);
    }

    #[test]
    fn what_another_process_uses_is_counted_and_what_this_one_does_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut other = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let pid = other.id() as i32;
        let enough = Duration::from_millis(100);
        let watch = Others::watch().unwrap();
        let begun = time_of(pid).unwrap();
        while time_of(pid).unwrap() < begun + enough {
            std::thread::yield_now();
        }
        let (of_others, _) = watch.so_far(child.id() as i32).unwrap();
        for process in [&mut child, &mut other] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        // The kernel counts the machine's time in hundredths of a second.
        assert!(of_others + Duration::from_millis(40) >= enough, "{of_others:?}");
    }

    #[test]
    fn cpu_time_is_counted_and_that_of_no_process_is_none() {
        let before = time_of(std::process::id() as i32).unwrap();
        let mut x = 0_u64;
        while time_of(std::process::id() as i32).unwrap() < before + Duration::from_millis(1) {
            x = std::hint::black_box(x + 1);
        }
        // No system gives so high a pid.
        assert_eq!(time_of(1 << 23), None);
    }
}
