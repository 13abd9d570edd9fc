//! The atomics of `std::sync::atomic`, each operation a step of the model.
//!
//! Two departures, both on the safe side. Under loom a `load` is a compare-and-exchange that changes nothing: a plain load
//! followed by a write of the same thread hides other threads' accesses from loom's reduction (loom#392, loom#166), and a
//! float counter would get one execution. So loads are sequentially consistent. And a `compare_exchange_weak` that fails
//! twice for the same reason (same thread, nothing written in between) yields: the caller spins, and a scheduler that
//! never leaves a spinning thread never ends. Not on the first failure: loom does not run a thread that yielded before
//! another has run, so a retry that makes progress would lose schedules. It never fails spuriously.

use crate::context;
use crate::engine::{self, Engine};
use crate::event::{Action, Mode, ObjectKind};
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

macro_rules! atomic {
    ($name:ident, $value:ty, $inner:ident) => {
        enum $inner {
            Loom(loom::sync::atomic::$name),
            Shuttle(shuttle::sync::atomic::$name),
        }

        #[doc = concat!("`std::sync::atomic::", stringify!($name), "`.")]
        pub struct $name {
            object: usize,
            inner: $inner,
            /// The threads that have failed to exchange since the last write.
            failed: Mutex<Vec<usize>>,
        }

        impl $name {
            #[doc = "An atomic with this value.\n\n# Panics\nOutside a model."]
            pub fn new(value: $value) -> Self {
                let object = context::new_object::<$value>(ObjectKind::Atomic);
                let inner = match engine::current() {
                    Engine::Loom => $inner::Loom(loom::sync::atomic::$name::new(value)),
                    Engine::Shuttle => $inner::Shuttle(shuttle::sync::atomic::$name::new(value)),
                };
                $name { object, inner, failed: Mutex::default() }
            }

            /// Whether the current thread has failed before since the last write.
            fn fails_again(&self) -> bool {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                let thread = context::current_thread();
                let again = failed.contains(&thread);
                if !again {
                    failed.push(thread);
                }
                again
            }

            fn written(&self) {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }

            fn step<R>(
                &self,
                name: &'static str,
                at: &'static Location<'static>,
                loom: impl FnOnce(&loom::sync::atomic::$name) -> R,
                shuttle: impl FnOnce(&shuttle::sync::atomic::$name) -> R,
            ) -> R {
                let result = context::switching(|| match &self.inner {
                    $inner::Loom(inner) => loom(inner),
                    $inner::Shuttle(inner) => shuttle(inner),
                });
                context::record(Action::Done, Mode::Atomic(name), self.object, at);
                result
            }

            /// The value.
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                let at = Location::caller();
                let none = <$value>::default();
                let exchange = |inner: &loom::sync::atomic::$name| match inner.compare_exchange(
                    none,
                    none,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                ) {
                    Ok(value) | Err(value) => value,
                };
                self.step("load", at, exchange, |inner| inner.load(order))
            }

            /// Sets the value.
            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                let at = Location::caller();
                self.step("store", at, |inner| inner.store(value, order), |inner| inner.store(value, order));
                self.written();
            }

            /// Sets the value and returns the one before.
            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                let at = Location::caller();
                let before = self.step("swap", at, |inner| inner.swap(value, order), |inner| inner.swap(value, order));
                self.written();
                before
            }

            #[doc = "Sets the value if it is `current`.\n\n# Errors\nThe value, if it is another."]
            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let result = self.step(
                    "compare_exchange",
                    Location::caller(),
                    |inner| inner.compare_exchange(current, new, success, failure),
                    |inner| inner.compare_exchange(current, new, success, failure),
                );
                if result.is_ok() {
                    self.written();
                }
                result
            }

            #[doc = "Sets the value if it is `current`, and lets others run if it is not.\n\n# Errors\nThe value, if it is another."]
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let result = self.step(
                    "compare_exchange_weak",
                    Location::caller(),
                    |inner| inner.compare_exchange(current, new, success, failure),
                    |inner| inner.compare_exchange(current, new, success, failure),
                );
                match result {
                    Ok(_) => self.written(),
                    Err(_) if self.fails_again() => context::yield_now(),
                    Err(_) => {}
                }
                result
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name::new(<$value>::default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }
    };
}

macro_rules! arithmetic {
    ($name:ident, $value:ty, $($operation:ident)*) => {
        impl $name {
            $(
                #[doc = "Changes the value and returns the one before."]
                #[track_caller]
                pub fn $operation(&self, value: $value, order: Ordering) -> $value {
                    let at = Location::caller();
                    let name = stringify!($operation);
                    let before =
                        self.step(name, at, |inner| inner.$operation(value, order), |inner| inner.$operation(value, order));
                    self.written();
                    before
                }
            )*
        }
    };
}

atomic!(AtomicBool, bool, BoolInner);
atomic!(AtomicI64, i64, I64Inner);
atomic!(AtomicU64, u64, U64Inner);
atomic!(AtomicUsize, usize, UsizeInner);
arithmetic!(AtomicBool, bool, fetch_and fetch_or);
arithmetic!(AtomicI64, i64, fetch_add fetch_sub);
arithmetic!(AtomicU64, u64, fetch_add fetch_sub);
arithmetic!(AtomicUsize, usize, fetch_add fetch_sub);
