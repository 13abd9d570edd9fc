//! What the fuzzer damages the debug information of: inlined and generic functions, closures, several units, and nothing of
//! the standard library, so that thousands of damaged copies are read while one executable would be.

#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
pub struct Pair<T> {
    left: T,
    right: T,
}
pub trait Value {
    fn value(&self) -> u64;
}
impl Value for u64 {
    fn value(&self) -> u64 {
        *self
    }
}
impl Value for u8 {
    fn value(&self) -> u64 {
        u64::from(*self)
    }
}
impl<T: Value> Value for Pair<T> {
    #[inline(always)]
    fn value(&self) -> u64 {
        sum(&self.left, &self.right)
    }
}
#[inline(always)]
fn sum<A: Value, B: Value>(a: &A, b: &B) -> u64 {
    a.value().wrapping_add(inner::twice(b.value()))
}
mod inner {
    #[inline(always)]
    pub fn twice(value: u64) -> u64 {
        let again = |value: u64| value ^ value.rotate_left(7);
        again(value).wrapping_mul(2)
    }
    #[inline(never)]
    pub fn deep(values: &[u64]) -> u64 {
        values.iter().map(|value| twice(*value)).filter(|value| value % 3 != 0).fold(0, u64::wrapping_add)
    }
}
#[unsafe(no_mangle)]
pub extern "C" fn first(a: u64, b: u64) -> u64 {
    Pair { left: Pair { left: a, right: b }, right: Pair { left: b, right: 7 } }.value()
}
#[unsafe(no_mangle)]
pub extern "C" fn second(a: u8) -> u64 {
    let values = [u64::from(a), 1, 2, first(3, 4)];
    inner::deep(&values) + Pair { left: a, right: a }.value()
}
#[unsafe(no_mangle)]
pub extern "C" fn third(a: &mut [u64; 16]) {
    a.sort_unstable();
    a.iter_mut().for_each(|v| *v = inner::twice(*v));
}
