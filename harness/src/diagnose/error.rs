//! Why no sample could be taken.

/// The rule by which the kernel refuses to let one process look into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It runs as somebody else.
    #[error("it runs as uid {theirs} and this command as uid {own}: run it as that user, or with sudo")]
    OtherUser {
        /// Our user.
        own: u32,
        /// The target's.
        theirs: u32,
    },
    /// Root without the capability: a container.
    #[error(
        "this is root without CAP_SYS_PTRACE, as in a container: start it with `docker run --cap-add SYS_PTRACE`, or in \
         Kubernetes with `kubectl debug --profile=sysadmin`"
    )]
    MissingCapability,
    /// The same user, but the target may do what we may not.
    #[error("it has capabilities that this command does not have: run it with sudo (CAP_SYS_PTRACE)")]
    MoreCapable,
    /// It has changed its user, or asked not to be looked into.
    #[error(
        "the kernel protects it: it has changed its user or group, its file has capabilities, or it asked for that \
         (PR_SET_DUMPABLE): run this command with sudo (CAP_SYS_PTRACE)"
    )]
    NotDumpable,
    /// Yama restricts tracing.
    #[error(
        "kernel.yama.ptrace_scope is {scope}: {}",
        match scope {
            1 => "only a parent may trace; run this command with sudo, or `sudo sysctl kernel.yama.ptrace_scope=0` for a while",
            2 => "only CAP_SYS_PTRACE may trace; run this command with sudo",
            _ => "nobody may trace until the next boot",
        }
    )]
    Yama {
        /// 1, 2 or 3.
        scope: u8,
    },
    /// Another user namespace, in which our capability does not count.
    #[error(
        "it is in another user namespace (a rootless container), in which the capabilities of this command do not count: \
         run it as root of the host"
    )]
    UserNamespace,
    /// A filter of system calls.
    #[error(
        "a seccomp filter is on, which may forbid ptrace (as in a container): start it with `--cap-add SYS_PTRACE` or \
         `--security-opt seccomp=unconfined`"
    )]
    Seccomp,
    /// None of these.
    #[error("no rule known here explains it; a security module (SELinux, AppArmor) may: see `dmesg`")]
    Unknown,
}

/// Why [`Engine::sample`](super::Engine::sample) took no sample. The target runs on in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// This build of Gatherlock cannot look into live processes.
    #[error("live diagnosis needs Linux on x86_64, and this build is for {os} on {arch}")]
    Unsupported {
        /// The operating system it was built for.
        os: &'static str,
        /// The architecture it was built for.
        arch: &'static str,
    },
    /// No such process, or it ended meanwhile.
    #[error(
        "process {pid} does not exist, or no longer; in a container a process has another number than on the host: ask \
         `pgrep` where you run this"
    )]
    NoSuchProcess {
        /// The process asked for.
        pid: i32,
    },
    /// It exists, but `/proc` does not show it.
    #[error(
        "process {pid} exists, but /proc hides it (mounted with hidepid): run as its user or as root, or in the group that \
         the mount names with gid="
    )]
    HiddenProcess {
        /// The process asked for.
        pid: i32,
    },
    /// It has ended, and its parent has not yet taken note.
    #[error(
        "process {pid} has ended (it is a zombie that its parent has not collected): there is nothing to look into"
    )]
    Ended {
        /// The process asked for.
        pid: i32,
    },
    /// It is a part of the kernel.
    #[error("process {pid} is a thread of the kernel (`{name}`): it has no program, no user stack and no locks of one")]
    KernelThread {
        /// The process asked for.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// A process cannot stop itself.
    #[error("process {pid} is this process: start the diagnosis in a process of its own")]
    OwnProcess {
        /// The process asked for.
        pid: i32,
    },
    /// Another tracer is attached; the kernel allows one.
    #[error("process {pid} is traced by process {tracer} (a debugger or strace): detach it and try again")]
    Traced {
        /// The process asked for.
        pid: i32,
        /// Who traces it.
        tracer: i32,
    },
    /// The kernel refuses.
    #[error("not allowed to look into process {pid}: {reason}")]
    NotPermitted {
        /// The process asked for.
        pid: i32,
        /// Which rule refuses, and what to do.
        reason: Refusal,
    },
    /// Not a 64-bit x86 program.
    #[error("process {pid} is no 64-bit x86 ELF program: {reason}")]
    WrongArchitecture {
        /// The process asked for.
        pid: i32,
        /// What it is.
        reason: String,
    },
    /// Something else failed.
    #[error("cannot read {what} of process {pid}: {reason}")]
    Io {
        /// The process asked for.
        pid: i32,
        /// What was read.
        what: String,
        /// The system's words.
        reason: String,
    },
}
