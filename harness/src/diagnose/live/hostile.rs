//! Tests with input that no compiler made: whatever a target's files and memory hold, the engine ends without a panic.

use super::image::Image;
use super::made::{BASE, STACK, VDSO, layout, only_code, registers, snapshot};
use super::memory::Memory;
use super::unwind::{self, Frame, RIP};
use super::walk::{Lock, Walker};
use super::{explain, images};
use crate::model::{Mode, ParkedThread, RawModule, ResourceKind};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

/// Bytes that the executable takes up in memory.
const MAPPED: u64 = 1 << 20;

/// A value that has some chance to be a pointer into the stack or the code.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u64..4096).prop_map(|n| STACK + n),
        (0u64..8192).prop_map(|n| BASE + n),
        Just(0),
        Just(u64::MAX)
    ]
}

fn stack() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(value(), 16..128).prop_map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_unwound(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..24),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.2),
        values in prop::collection::vec(value(), 16),
        pc in 0u64..8192,
        stack in stack(),
    ) {
        let mut bytes = VDSO.clone();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let Ok(image) = Image::parse(bytes) else { return Ok(()) };
        let layout = layout(image, MAPPED);
        let mut registers = registers(&values, 64);
        registers[RIP] = Some(BASE + pc);
        let snapshot = snapshot(stack, &registers, BTreeMap::new());
        let memory = Memory::new(&snapshot, &layout, false);
        let (frames, _) = unwind::unwind(&layout, registers, |address| memory.word(address), &Cell::new(unwind::BUDGET));
        prop_assert!(frames.len() <= 512);
        for frame in &frames {
            if let Some(module) = layout.find(frame.lookup()) {
                prop_assert!(!module.image.frames(frame.lookup().wrapping_sub(module.bias)).is_empty());
                module.image.function_bounds(frame.lookup().wrapping_sub(module.bias));
            }
        }
    }

    #[test]
    fn a_walk_through_any_bytes_ends(
        code in prop::collection::vec(any::<u8>(), 1..2048),
        values in prop::collection::vec(value(), 16),
        stack in stack(),
        lock in value(),
        kind in prop::sample::select(vec![
            ResourceKind::ParkingLotRwLock, ResourceKind::ParkingLotMutex, ResourceKind::StdMutex, ResourceKind::StdRwLock,
        ]),
        returns in any::<bool>(),
    ) {
        let layout = layout(Image::parse(only_code(&code)).unwrap(), MAPPED);
        let registers = registers(&values, 64);
        let snapshot = snapshot(stack, &registers, BTreeMap::from([(lock & !7, 8)]));
        let memory = Memory::new(&snapshot, &layout, false);
        let walker = Walker { layout: &layout, memory: &memory, takes: HashMap::new(), budget: Cell::new(100_000) };
        let frame = Frame { pc: BASE + 0x1000, returns, sp: STACK + 64, cfa: STACK + 128, registers };
        for pending in [&[][..], &[Mode::Read]] {
            walker.outlook(&frame, Lock { address: lock, kind }, pending);
        }
        prop_assert!(walker.budget.get() >= 100_000 - 2 * 8000);
    }

    #[test]
    fn a_made_up_snapshot_is_explained(
        values in prop::collection::vec(value(), 0..20),
        stack in stack(),
        words in prop::collection::btree_map(value(), value(), 0..32),
        parked in prop::collection::vec((value(), value(), prop::sample::select(vec![0u64, 8, 16, 20, 99])), 0..4),
        modules in prop::collection::vec((value(), value(), value()), 0..3),
        start in value(),
        number in prop::sample::select(vec![202i64, 0, 7, 219, 232, -1, i64::MAX]),
        arguments in prop::array::uniform6(value()),
        taken in any::<u64>(),
    ) {
        let mut registers = [None; 17];
        for (slot, value) in registers.iter_mut().zip(&values) {
            *slot = Some(*value);
        }
        let mut snapshot = snapshot(stack, &registers, words);
        snapshot.taken_us = taken;
        snapshot.threads[0].stack_start = start;
        snapshot.threads[0].registers = values.iter().copied().map(Some).collect();
        snapshot.threads[0].syscall = Some((number, arguments));
        snapshot.parked =
            parked.into_iter().map(|(thread_data, key, token)| ParkedThread { thread_data, key, token }).collect();
        let raw = |(start, end, bias)| RawModule { path: "/nowhere".into(), exe: true, start, end, bias, build_id: None };
        snapshot.modules = modules.into_iter().map(raw).collect();
        let mut running = snapshot.clone();
        running.threads[0].syscall = None;
        let images = images::Images::default();
        for second in [&snapshot, &running] {
            let explanation = explain::explain(&images, Some(&snapshot), None, second, false, &[], &[]);
            prop_assert_eq!(explanation.explained.threads.len(), 1);
        }
    }
}
