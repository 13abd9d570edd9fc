//! The committed JSON Schema is what the types say, and every golden report is valid by it.

mod render_fixture;

use std::path::PathBuf;

fn reports() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../reports")
}

fn schema() -> String {
    std::fs::read_to_string(reports().join("schema/gatherlock.report.1.schema.json")).expect("the schema is committed")
}

#[test]
fn golden_reports_are_valid() {
    let schema = serde_json::from_str(&schema()).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let check = |name: &str, text: &str| {
        let report = serde_json::from_str(text).expect("a report is JSON");
        let errors: Vec<String> =
            schema.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    };
    let golden = std::fs::read_to_string(reports().join("golden/report.json")).expect("the golden report is committed");
    check("reports/golden/report.json", &golden);
    let hostile = render_fixture::hostile::report();
    check("the hostile report", &gatherlock::render::json::render(&hostile));
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let schema = serde_json::from_str(&schema()).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let good = serde_json::to_value(render_fixture::report()).expect("a report is JSON");
    for (path, bad) in [
        ("/cases/0/verdict", serde_json::json!("fine")),
        ("/cases/0/id", serde_json::json!("No Id")),
        ("/cases/0/trials/0/outcome", serde_json::json!("hung")),
        ("/cases/0/trials/0/canary_moved", serde_json::json!("maybe")),
        ("/summary", serde_json::json!(null)),
        ("/exit_code", serde_json::json!(-1)),
    ] {
        let mut report = good.clone();
        *report.pointer_mut(path).expect("the path exists") = bad;
        assert!(!schema.is_valid(&report), "{path}");
    }
}

/// Regenerate with `cargo xtask schema`, or
/// `cargo run -p gatherlock --features schema --example schema > reports/schema/gatherlock.report.1.schema.json`.
#[cfg(feature = "schema")]
#[test]
fn the_schema_is_current() {
    let current = gatherlock::render::json::schema();
    assert!(schema().trim_end() == current, "the report's types have changed; run `cargo xtask schema` and commit");
}
