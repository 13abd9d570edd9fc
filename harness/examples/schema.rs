//! Prints the JSON Schema of the report, derived from its types.

/// `cargo xtask schema` writes what this prints to `reports/schema/`.
fn main() {
    println!("{}", gatherlock::render::json::schema());
}
