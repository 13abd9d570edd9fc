//! Why no sample could be taken.

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
    #[error("process {pid} does not exist")]
    NoSuchProcess {
        /// The process asked for.
        pid: i32,
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
    #[error(
        "not allowed to trace process {pid}: run as its user with kernel.yama.ptrace_scope = 0, or with CAP_SYS_PTRACE \
         (in a container: --cap-add SYS_PTRACE)"
    )]
    NotPermitted {
        /// The process asked for.
        pid: i32,
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
