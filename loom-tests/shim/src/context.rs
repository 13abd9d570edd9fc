//! What the shim knows about the execution that runs on this OS thread: its threads, its objects, who waits for what,
//! and, if asked for, every event.
//!
//! Both engines run all model threads as coroutines of one OS thread, so thread-local storage is shared by them all and
//! needs no lock. The current model thread is kept here and restored after every call into an engine ([`switching`]).

use crate::engine::{self, Engine};
use crate::event::{Action, Event, Mode, Object, ObjectKind};
use backtrace::Backtrace;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;

/// How much of an execution to record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Nothing: exploring.
    #[default]
    Off,
    /// Lock operations.
    Locks,
    /// Lock operations and atomics.
    Everything,
    /// Lock operations, each with its stack.
    Stacks,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The object, as an index.
    pub object: usize,
    /// What it wants from it.
    pub mode: Mode,
    /// The calling line.
    pub at: &'static Location<'static>,
}

#[derive(Debug)]
struct Thread {
    name: String,
    /// The object that stands for its end.
    end: usize,
    created: usize,
    waiting: Option<Waiting>,
    finished: bool,
    unwinding: bool,
}

/// The lazy statics of one execution, by the address of the static; each is what [`crate::Lazy`] makes of it.
pub(crate) type LazyValues = BTreeMap<usize, Rc<dyn Any>>;

#[derive(Default)]
struct Context {
    recording: Recording,
    current: usize,
    threads: Vec<Thread>,
    objects: Vec<Object>,
    events: Vec<Event>,
    torn_down: bool,
    deadlocked: bool,
    lazies: LazyValues,
}

/// What was recorded of one execution.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The threads' names; 0 is the model's body.
    pub threads: Vec<String>,
    /// For each thread what it waits for at the end.
    pub waiting: Vec<Option<Waiting>>,
    /// Every object.
    pub objects: Vec<Object>,
    /// The steps, in the order in which they happened.
    pub events: Vec<Event>,
    /// Whether no thread could run any more although not all had finished.
    pub deadlocked: bool,
}

thread_local!(static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) });

fn with<R>(use_it: impl FnOnce(&mut Context) -> R) -> R {
    CONTEXT.with_borrow_mut(|slot| {
        use_it(slot.as_mut().expect("a model's lock, atomic or thread was used outside a model's execution"))
    })
}

/// While it lives, this OS thread explores a model under an engine.
#[derive(Debug)]
pub struct Entered(());

/// Makes `engine` the one that models run under on this OS thread.
///
/// # Panics
/// If this OS thread is exploring a model already.
pub fn enter(engine: Engine) -> Entered {
    assert!(engine::set(Some(engine)).is_none(), "a model cannot be explored inside another");
    Entered(())
}

/// Ends the last execution and returns what was recorded of it.
pub fn take_recorded() -> Recorded {
    let Some(context) = CONTEXT.with_borrow_mut(Option::take) else { return Recorded::default() };
    // After a failure the values of lazy statics belong to an engine that is gone.
    std::mem::forget(context.lazies);
    Recorded {
        waiting: context.threads.iter().map(|thread| thread.waiting).collect(),
        threads: context.threads.into_iter().map(|thread| thread.name).collect(),
        objects: context.objects,
        events: context.events,
        deadlocked: context.deadlocked,
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        engine::set(None);
        if let Some(context) = CONTEXT.with_borrow_mut(Option::take) {
            std::mem::forget(context.lazies);
        }
    }
}

/// Forgets the last execution and begins another: the first call of a model's body.
pub fn begin_execution(recording: Recording) {
    let mut context = Context { recording, ..Context::default() };
    context.add_thread("main");
    if let Some(old) = CONTEXT.with_borrow_mut(|slot| slot.replace(context)) {
        std::mem::forget(old.lazies);
    }
}

/// Ends an execution that came to its end: drops lazy statics while the engine is still there.
pub fn end_execution() {
    let lazies = with(|context| std::mem::take(&mut context.lazies));
    drop(lazies);
    finish(0);
}

/// From here on guards give nothing back: the engine is unwinding its threads.
pub fn tear_down() {
    CONTEXT.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut()
            && let Some(context) = slot.as_mut()
        {
            context.torn_down = true;
        }
    });
}

/// Says that the current model thread panics in the code under test, so that its guards poison what they give back.
pub fn note_panic() {
    CONTEXT.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut()
            && let Some(context) = slot.as_mut()
        {
            let current = context.current;
            context.threads[current].unwinding = true;
        }
    });
}

/// Whether the current model thread is unwinding from a panic of the code under test.
pub(crate) fn is_unwinding() -> bool {
    std::thread::panicking() && with(|context| context.threads[context.current].unwinding)
}

pub(crate) fn end_unwinding() {
    with(|context| {
        let current = context.current;
        context.threads[current].unwinding = false;
    });
}

/// Whether the execution has failed, or none runs: nothing may call into an engine any more.
pub fn is_torn_down() -> bool {
    CONTEXT.with(|slot| match slot.try_borrow() {
        Ok(slot) => slot.as_ref().is_none_or(|context| context.torn_down),
        Err(_) => true,
    })
}

impl Context {
    fn add_object(&mut self, kind: ObjectKind, of: &str) -> usize {
        let nth = self.threads.get_mut(self.current).map_or(0, |thread| {
            thread.created += 1;
            thread.created - 1
        });
        let of = if self.recording == Recording::Off { String::new() } else { of.to_owned() };
        self.objects.push(Object { kind, of, creator: self.current, nth });
        self.objects.len() - 1
    }

    /// Names are unique, so that a trace says which of two threads of one name it means.
    fn add_thread(&mut self, name: &str) -> usize {
        let taken = |name: &str| self.threads.iter().any(|thread| thread.name == name);
        let mut unique = name.to_owned();
        let mut number = 1;
        while taken(&unique) {
            number += 1;
            unique = format!("{name} no. {number}");
        }
        let name = unique;
        let end = self.add_object(ObjectKind::Thread, &name);
        self.threads.push(Thread { name, end, created: 0, waiting: None, finished: false, unwinding: false });
        self.threads.len() - 1
    }

    /// Nobody can run any more: exact, because every way to wait goes through here.
    fn notice_deadlock(&mut self) {
        let mut alive = self.threads.iter().filter(|thread| !thread.finished).peekable();
        if alive.peek().is_some() && alive.all(|thread| thread.waiting.is_some()) {
            self.deadlocked = true;
            self.torn_down = true;
        }
    }
}

/// Runs a call into the engine, after which this thread is the current one again, whoever ran in between.
pub(crate) fn switching<R>(call: impl FnOnce() -> R) -> R {
    let me = with(|context| context.current);
    let result = call();
    with(|context| context.current = me);
    result
}

/// Lets another thread run: said where code spins, because a scheduler that never leaves a spinning thread never ends.
pub(crate) fn yield_now() {
    switching(|| match engine::current() {
        Engine::Loom => loom::thread::yield_now(),
        Engine::Shuttle => shuttle::thread::yield_now(),
    });
}

/// Ends an execution in which no thread can run any more. loom finds that by itself at the next wait. shuttle would, too,
/// and would print advice on standard error that is not ours, so its scheduler is asked once more and stops.
pub(crate) fn give_up() {
    if engine::current() == Engine::Shuttle {
        yield_now();
    }
}

pub(crate) fn new_object<T: ?Sized>(kind: ObjectKind) -> usize {
    with(|context| context.add_object(kind, std::any::type_name::<T>()))
}

/// A new thread and the object for its end.
pub(crate) fn new_thread(name: &str) -> (usize, usize) {
    with(|context| {
        let thread = context.add_thread(name);
        (thread, context.threads[thread].end)
    })
}

pub(crate) fn begin_thread(thread: usize) {
    with(|context| context.current = thread);
}

/// Says that `thread` has ended, and so its joiners can go on.
pub(crate) fn finish(thread: usize) {
    with(|context| {
        context.threads[thread].finished = true;
        let end = context.threads[thread].end;
        context.wake(end);
        context.notice_deadlock();
    });
    if is_deadlocked() {
        give_up();
    }
}

pub(crate) fn current_thread() -> usize {
    with(|context| context.current)
}

pub(crate) fn is_finished(thread: usize) -> bool {
    with(|context| context.threads[thread].finished)
}

impl Context {
    fn wake(&mut self, object: usize) {
        for thread in &mut self.threads {
            if thread.waiting.is_some_and(|waiting| waiting.object == object) {
                thread.waiting = None;
            }
        }
    }
}

/// Says that those who wait for `object` will look again.
pub(crate) fn wake(object: usize) {
    with(|context| context.wake(object));
}

/// Says that the current thread is about to wait for `object`.
pub(crate) fn block(object: usize, mode: Mode, at: &'static Location<'static>) {
    with(|context| {
        let current = context.current;
        context.threads[current].waiting = Some(Waiting { object, mode, at });
        context.notice_deadlock();
    });
    if is_deadlocked() {
        give_up();
    }
}

/// Whether the execution has come to a point where no thread can run.
pub fn is_deadlocked() -> bool {
    CONTEXT.with_borrow(|slot| slot.as_ref().is_some_and(|context| context.deadlocked))
}

/// Records one step.
pub(crate) fn record(action: Action, mode: Mode, object: usize, at: &'static Location<'static>) {
    with(|context| {
        let wanted = match context.recording {
            Recording::Off => false,
            Recording::Everything => true,
            Recording::Locks | Recording::Stacks => !matches!(mode, Mode::Atomic(_)),
        };
        if wanted && !context.torn_down {
            let stack = (context.recording == Recording::Stacks).then(|| Rc::new(Backtrace::new_unresolved()));
            context.events.push(Event { thread: context.current, action, mode, object, at, stack });
        }
    });
}

pub(crate) fn with_lazies<R>(use_them: impl FnOnce(&mut LazyValues) -> R) -> R {
    with(|context| use_them(&mut context.lazies))
}
