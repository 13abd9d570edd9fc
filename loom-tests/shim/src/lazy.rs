//! `lazy_static!`, whose values are new in every execution.

use crate::context;
use crate::event::{Action, Mode, ObjectKind};
use crate::monitor::{Look, Monitor};
use std::any::Any;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;

/// One static of one execution: the lock of its initialisation, and its value.
struct Slot {
    initialising: Monitor<bool>,
    value: std::cell::OnceCell<Box<dyn Any>>,
}

/// A lazily initialised static: what [`lazy_static!`](crate::lazy_static) declares.
#[derive(Debug)]
pub struct Lazy<T: 'static>(fn() -> T);

impl<T: 'static> Lazy<T> {
    /// A static that `initialise` makes when it is first used.
    pub const fn new(initialise: fn() -> T) -> Self {
        Lazy(initialise)
    }

    fn slot(&self) -> Rc<Slot> {
        let key = std::ptr::from_ref(self).addr();
        if let Some(slot) = context::with_lazies(|lazies| lazies.get(&key).map(Rc::clone)) {
            return slot.downcast().expect("only lazy statics are kept there");
        }
        let object = context::new_object::<T>(ObjectKind::Lazy);
        let slot = Rc::new(Slot { initialising: Monitor::new(object, false), value: std::cell::OnceCell::new() });
        let kept: Rc<dyn Any> = Rc::<Slot>::clone(&slot);
        context::with_lazies(|lazies| lazies.insert(key, kept));
        slot
    }
}

impl<T: 'static> Deref for Lazy<T> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        let at = Location::caller();
        let slot = self.slot();
        slot.initialising.wait_until(Mode::Lock, at, |taken| match std::mem::replace(taken, true) {
            true => Look::Wait(Action::Blocked),
            false => Look::Done(()),
        });
        let value = std::ptr::from_ref(slot.value.get_or_init(|| Box::new((self.0)())).as_ref());
        slot.initialising.release(Mode::Lock, at, |taken| {
            *taken = false;
            true
        });
        // SAFETY: the box is written once and lives in this execution's table until the model's body has returned, and
        // after a failed execution for ever; a reference to a static does not outlive the body's threads.
        let value = unsafe { &*value };
        value.downcast_ref::<T>().expect("a static has one type")
    }
}

/// `lazy_static::initialize`.
#[track_caller]
pub fn initialize<T: Deref>(lazy: &T) {
    let _ = &**lazy;
}

/// `lazy_static!`.
#[macro_export]
macro_rules! lazy_static {
    ($($(#[$attribute:meta])* $visibility:vis static ref $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$attribute])* $visibility static $name: $crate::Lazy<$type> = $crate::Lazy::new(|| $value);)*
    };
}
