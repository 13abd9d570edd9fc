//! The three patterns, each as a model of twenty lines: no `prometheus` in them, only what hangs.

mod contention;
mod recursive_lock;
mod update_during_gather;

/// Twenty lines of code each, what is imported not counted, and none so long that it counts for two.
#[test]
fn a_lesson_is_no_longer_than_twenty_lines() {
    for (name, text) in [
        ("contention", include_str!("contention.rs")),
        ("recursive_lock", include_str!("recursive_lock.rs")),
        ("update_during_gather", include_str!("update_during_gather.rs")),
    ] {
        let counts = |line: &&str| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with("//") && !line.starts_with("use ")
        };
        let lines: Vec<&str> = text.lines().filter(counts).collect();
        assert!((10..=20).contains(&lines.len()), "{name}: {} lines", lines.len());
        assert!(lines.iter().all(|line| line.chars().count() <= 110), "{name}: a line is too long");
    }
}
