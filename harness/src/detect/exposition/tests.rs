//! The exposition parser against the format's rules, against hostile bodies, and against its own rendering.

use super::*;
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

fn fault(body: &str) -> (usize, usize, String) {
    let bad = parse(body, Dialect::Text).expect_err(body);
    (bad.line, bad.column, bad.fault.to_string())
}

#[test]
fn reads_what_the_formats_own_example_shows() {
    let body = concat!(
        "# HELP http_requests_total The total number of HTTP requests.\n",
        "# TYPE http_requests_total counter\n",
        "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n",
        "http_requests_total{method=\"post\",code=\"400\"}    3 1395066363000\n",
        "\n",
        "# Escaping in label values:\n",
        "msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n",
        "metric_without_timestamp_and_labels 12.47\n",
        "something_weird{problem=\"division by zero\"} +Inf -3982045\n",
        "# TYPE http_request_duration_seconds histogram\n",
        "http_request_duration_seconds_bucket{le=\"0.05\"} 24054\n",
        "http_request_duration_seconds_bucket{le=\"+Inf\"} 144320\n",
        "http_request_duration_seconds_sum 53423\n",
        "http_request_duration_seconds_count 144320\n",
        "# TYPE rpc_duration_seconds summary\n",
        "rpc_duration_seconds{quantile=\"0.5\"} 4773\n",
        "rpc_duration_seconds_sum 1.7560473e+07\n",
        "rpc_duration_seconds_count 2693\n",
    );
    let exposition = parse(body, Dialect::Text).unwrap();
    let families: Vec<(&str, Kind, usize)> =
        exposition.families.iter().map(|family| (family.name, family.kind, family.samples.len())).collect();
    assert_eq!(
        families,
        [
            ("http_requests_total", Kind::Counter, 2),
            ("msdos_file_access_time_seconds", Kind::Untyped, 1),
            ("metric_without_timestamp_and_labels", Kind::Untyped, 1),
            ("something_weird", Kind::Untyped, 1),
            ("http_request_duration_seconds", Kind::Histogram, 4),
            ("rpc_duration_seconds", Kind::Summary, 3),
        ]
    );
    assert_eq!((exposition.len(), exposition.samples().count(), exposition.is_empty()), (12, 12, false));
    assert_eq!(exposition.families[0].help.as_deref(), Some("The total number of HTTP requests."));
    let escaped = &exposition.families[1].samples[0];
    assert_eq!(escaped.labels[0].1, "C:\\DIR\\FILE.TXT");
    assert_eq!(escaped.labels[1].1, "Cannot find file:\n\"FILE.TXT\"");
    assert_eq!(exposition.families[3].samples[0].value, f64::INFINITY);
    assert_eq!(exposition.families[3].samples[0].timestamp, Some(-3982045.0));
    assert_eq!(exposition.value("http_requests_total", &[]), Some(1030.0));
    assert_eq!(exposition.value("http_requests_total", &[("code", "400".into())]), Some(3.0));
    assert_eq!(exposition.value("http_requests_total", &[("code", "500".into())]), None);
}

#[test]
fn blanks_comments_and_odd_numbers_pass() {
    for body in [
        "",
        "\n\n  \t\n",
        "# just a comment\n#\n#comment\n# HELP\n# TYPE\n",
        "# HELP a\na 1\n",
        "  a  {  b = \"c\" , d=\"\" , }  1  2  \n",
        "a{} 1\n",
        "a{b=\"}\",c=\"# {\"}1\n",
        "a NaN\nb -inf\nc +Inf\nd 1e-300\ne .5\nf 5.\ng -0\nh Infinity\n",
        "#TYPE a gauge\na 1\n",
        "_:a 1\n:b 2\n",
        "# TYPE a_count counter\na_count 1\n",
        "# EOF\n",
        "a{b=\"ä\u{1F600}\u{0}\r\"} 1\n",
    ] {
        assert!(parse(body, Dialect::Text).is_ok(), "{body:?}: {:?}", parse(body, Dialect::Text));
    }
}

#[test]
fn faults_are_placed_to_the_character() {
    let cases: &[(&str, usize, usize, &str)] = &[
        ("a 1", 1, 4, "the last line does not end with a line feed"),
        ("a 1\nä 2\n", 2, 1, "expected a metric name"),
        ("1a 2\n", 1, 1, "expected a metric name"),
        ("a-b 2\n", 1, 2, "expected a blank or `{` after the metric name"),
        ("a\n", 1, 2, "expected a blank or `{` after the metric name"),
        ("a \n", 1, 3, "expected a value"),
        ("a one\n", 1, 3, "`one` is no number"),
        ("a 1_000\n", 1, 3, "`1_000` is no number"),
        ("a 0x1\n", 1, 3, "`0x1` is no number"),
        ("a 1e999\n", 1, 3, "`1e999` is no number"),
        ("a 1 2.5\n", 1, 5, "`2.5` is no timestamp"),
        ("a 1 2 3\n", 1, 7, "`3` is left over at the end of the line"),
        ("a 1\r\n", 1, 3, "`1\r` is no number"),
        ("a{b=\"ä\",é=\"\"} 1\n", 1, 9, "expected a label name"),
        ("a{b:c=\"\"} 1\n", 1, 4, "expected `=` after the label name"),
        ("a{b=c} 1\n", 1, 5, "expected `\"` before the label value"),
        ("a{b=\"c} 1\n", 1, 5, "the label value is not closed on this line"),
        ("a{b=\"c\\\"} 1\n", 1, 5, "the label value is not closed on this line"),
        ("a{b=\"c\\t\"} 1\n", 1, 7, "`\\t` is no escape: only `\\\\`, `\\n` and, in label values, `\\\"` are"),
        ("a{b=\"c\"d=\"e\"} 1\n", 1, 8, "expected `,` or `}` after the label value"),
        ("a{,} 1\n", 1, 3, "expected a label name"),
        ("a{b=\"c\",,} 1\n", 1, 9, "expected a label name"),
        ("a{b=\"1\",b=\"2\"} 1\n", 1, 1, "label `b` is given twice"),
        ("# HELP a x\\y\na 1\n", 1, 11, "`\\y` is no escape: only `\\\\`, `\\n` and, in label values, `\\\"` are"),
        ("# HELP 1 x\n", 1, 8, "expected a metric name"),
        ("# HELP a{ x\n", 1, 9, "expected a blank after the metric name"),
        ("# TYPE a\n", 1, 9, "`` is no metric type"),
        ("# TYPE a wrong\n", 1, 10, "`wrong` is no metric type"),
        ("# TYPE a info\n", 1, 10, "`info` is no metric type"),
        ("# TYPE a gauge x\n", 1, 16, "`x` is left over at the end of the line"),
        ("# TYPE a gauge\n# TYPE a gauge\n", 2, 8, "a second TYPE line for `a`"),
        ("# HELP a x\n# TYPE a gauge\n# HELP a y\n", 3, 8, "a second HELP line for `a`"),
        ("a 1\n# TYPE a gauge\n", 2, 8, "TYPE of `a` comes after its samples"),
        ("a 1\n# HELP a x\n", 2, 8, "HELP of `a` comes after its samples"),
        ("a 1\nb 1\na{c=\"d\"} 1\n", 3, 1, "the lines of `a` do not stand together"),
        ("# HELP a x\nb 1\n# TYPE a gauge\n", 3, 8, "the lines of `a` do not stand together"),
        ("a 1\na 2\n", 2, 1, "the series `a{}` is given twice"),
        ("a{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n", 2, 1, "the series `a{b=\"1\",c=\"2\"}` is given twice"),
        ("# TYPE h histogram\nh 1\n", 2, 1, "`h` is no sample of the histogram `h`"),
        ("# TYPE h histogram\nh_bucket 1\n", 2, 1, "`h_bucket` has no valid `le` label"),
        ("# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", 2, 1, "`h_bucket` has no valid `le` label"),
        ("# TYPE s summary\ns 1\n", 2, 1, "`s` has no valid `quantile` label"),
        (
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
            2,
            1,
            "the histogram `h` has no `le=\"+Inf\"` bucket",
        ),
        (
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 2\nx 1\n",
            2,
            1,
            "the `le=\"+Inf\"` bucket of `h` differs from its count",
        ),
        (
            "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\n",
            3,
            1,
            "the buckets of `h_bucket{}` are not in increasing order of `le`",
        ),
    ];
    for (body, line, column, what) in cases {
        assert_eq!(fault(body), (*line, *column, what.to_string()), "{body:?}");
    }
}

#[test]
fn histograms_are_told_apart_by_their_other_labels() {
    let body = "# TYPE h histogram\n\
                h_bucket{a=\"x\",le=\"1\"} 1\nh_bucket{a=\"y\",le=\"1\"} 5\n\
                h_bucket{a=\"x\",le=\"+Inf\"} 2\nh_bucket{le=\"+Inf\",a=\"y\"} 6\n\
                h_count{a=\"x\"} 2\nh_count{a=\"y\"} 6\n";
    assert!(parse(body, Dialect::Text).is_ok());
    assert_eq!(fault(&body.replace("h_count{a=\"y\"} 6", "h_count{a=\"y\"} 7")).0, 3);
    let twice = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\n";
    assert_eq!(fault(twice), (3, 1, "the buckets of `h_bucket{}` are not in increasing order of `le`".to_string()));
}

#[test]
fn open_metrics_has_its_own_rules() {
    let body = "# TYPE jobs counter\n# HELP jobs Jobs \\\"done\\\".\njobs_total{a=\"b\"} 3.0 1.5 # {trace=\"x\"} 0.5 1.25\n\
                jobs_created{a=\"b\"} 1.5\n# TYPE seconds gauge\n# UNIT seconds seconds\nseconds 1\n\
                # TYPE build info\nbuild_info{v=\"1\"} 1\n# EOF\n";
    let exposition = parse(body, Dialect::OpenMetrics).unwrap();
    assert_eq!(exposition.families[0].kind, Kind::Counter);
    assert_eq!(exposition.value("jobs_total", &[]), Some(3.0));
    assert_eq!(exposition.families[0].samples[0].timestamp, Some(1.5));
    assert!(parse(body.trim_end(), Dialect::OpenMetrics).is_ok(), "the end mark may go without a line feed");

    for (body, what) in [
        ("a 1\n", "`# EOF` is missing at the end"),
        ("# EOF\na 1\n", "lines follow `# EOF`"),
        ("\n# EOF\n", "expected a comment or a sample"),
        ("# a comment\n# EOF\n", "expected HELP, TYPE, UNIT or EOF after `#`"),
        ("# TYPE a counter\na 1\n# EOF\n", "`a` is no sample of the counter `a`"),
        ("# TYPE a untyped\n# EOF\n", "`untyped` is no metric type"),
        ("a 1 # x\n# EOF\n", "expected `{` of an exemplar"),
    ] {
        assert_eq!(parse(body, Dialect::OpenMetrics).unwrap_err().fault.to_string(), what, "{body:?}");
    }
    assert!(parse("a 1 # {b=\"c\"} 1\n", Dialect::Text).is_err(), "the text format has no exemplars");
}

#[test]
fn hostile_bodies_are_read_or_refused_in_few_words() {
    let long = "x".repeat(1 << 20);
    let exposition = parse(&format!("a{{b=\"{long}\"}} 1\n"), Dialect::Text).map(|e| e.samples().count());
    assert_eq!(exposition, Ok(1));
    let twice = format!("a{{b=\"{long}\"}} 1\n").repeat(2);
    let (line, _, what) = fault(&twice);
    assert!(line == 2 && what.len() < 300, "{} bytes", what.len());
    assert!(fault(&format!("a {long}\n")).2.len() < 300);
    assert!(fault(&format!("a 1 {long}\n")).2.len() < 300);
    assert!(fault(&format!("# TYPE a {long}\n")).2.len() < 300);
    assert!(fault(&format!("{long} 1\nb 1\n{long} 1\n")).2.len() < 300);
    assert!(fault(&format!("a{{b=\"{}\"}} 1\n", "\\".repeat(1 << 20 | 1))).2.len() < 300);
    let escapes = format!("a{{b=\"{}\"}} 1\n", "\\\\".repeat(1 << 19));
    assert_eq!(parse(&escapes, Dialect::Text).unwrap().families[0].samples[0].labels[0].1.len(), 1 << 19);

    let labels: Vec<String> = (0..100_000).map(|n| format!("l{n}=\"\"")).collect();
    let exposition = parse(&format!("a{{{}}} 1\n", labels.join(",")), Dialect::Text).map(|e| e.len());
    assert_eq!(exposition, Ok(1));
    let mut series = String::new();
    (0..100_000).for_each(|n| writeln!(series, "a{{n=\"{n}\"}} {n}").unwrap());
    assert_eq!(parse(&series, Dialect::Text).unwrap().len(), 100_000);
    let mut families = String::new();
    (0..100_000).for_each(|n| writeln!(families, "# TYPE a{n} gauge\na{n} {n}").unwrap());
    assert_eq!(parse(&families, Dialect::Text).unwrap().families.len(), 100_000);
    assert!(parse(&"{".repeat(1 << 20), Dialect::Text).is_err());
}

// What follows makes up expositions, renders them in one of many spellings, and reads them back.

/// Labels, values (of buckets or quantiles, sum and count, or the one sample), timestamp.
type MadeSeries = (BTreeMap<String, String>, Vec<f64>, Option<i32>);

#[derive(Clone, Debug)]
struct Made {
    kind: Kind,
    help: Option<String>,
    series: Vec<MadeSeries>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), ".{0,12}", "[\\\\\"n\n{},# =]{0,12}"]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        (0_u32..9).prop_map(f64::from)
    ]
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let kind = prop_oneof![
        Just(Kind::Counter),
        Just(Kind::Gauge),
        Just(Kind::Histogram),
        Just(Kind::Summary),
        Just(Kind::Untyped)
    ];
    let labels = prop::collection::btree_map("[a-zA-Z_][a-z0-9_]{2,5}", text(), 0..3);
    let series = (labels, prop::collection::vec(value(), 3), prop::option::of(any::<i32>()));
    let family = (kind, prop::option::of(text()), prop::collection::vec(series, 0..4));
    let family = family.prop_map(|(kind, help, mut series)| {
        let mut seen = Vec::new();
        series.retain(|(labels, ..)| {
            !seen.contains(labels) && {
                seen.push(labels.clone());
                true
            }
        });
        Made { kind, help: help.map(|help| help.trim_start_matches([' ', '\t']).to_string()), series }
    });
    prop::collection::vec(family, 0..5)
}

/// The families as the parser should return them.
fn expected(made: &[Made], names: &[[String; 4]]) -> Vec<Family<'static>> {
    let leak = |text: &str| -> &'static str { Box::leak(text.to_string().into_boxed_str()) };
    let mut families = Vec::new();
    for (made, [name, bucket, sum, count]) in made.iter().zip(names) {
        let mut samples = Vec::new();
        for (labels, values, timestamp) in &made.series {
            let mut push = |name: &str, more: Option<(&'static str, &'static str)>, value: f64| {
                let own = labels.iter().map(|(name, value)| (leak(name), Cow::Owned(value.clone())));
                let labels = own.chain(more.map(|(name, value)| (name, Cow::Borrowed(value)))).collect();
                samples.push(Sample { name: leak(name), labels, value, timestamp: timestamp.map(f64::from) });
            };
            match made.kind {
                Kind::Histogram => {
                    // The bucket of everything must equal the count, which NaN never does.
                    let all = if values[1].is_nan() { 7.0 } else { values[1] };
                    push(bucket, Some(("le", "-0.5")), values[0]);
                    push(bucket, Some(("le", "1e3")), values[1]);
                    push(bucket, Some(("le", "+Inf")), all);
                    push(sum, None, values[2]);
                    push(count, None, all);
                }
                Kind::Summary => {
                    push(name, Some(("quantile", "0.5")), values[0]);
                    push(sum, None, values[1]);
                    push(count, None, values[2]);
                }
                _ => push(name, None, values[0]),
            }
        }
        families.push(Family { name: leak(name), kind: made.kind, help: made.help.clone().map(Cow::Owned), samples });
    }
    families
}

/// One spelling; `style` chooses among the liberties that the format leaves.
fn render(families: &[Family<'_>], style: u32) -> String {
    let on = |bit: u32| style & (1 << bit) != 0;
    let blank = if on(0) { "\t " } else { " " };
    let mut out = String::new();
    for family in families {
        if on(1) {
            out.push_str("\n# nothing to see here\n");
        }
        let kind = format!("# TYPE {}{blank}{}\n", family.name, family.kind.word(Dialect::Text));
        let help = family.help.as_ref().map(|help| {
            let lead = if on(2) { "  #" } else { "#" };
            format!("{lead} HELP {} {}\n", family.name, help.replace('\\', "\\\\").replace('\n', "\\n"))
        });
        let meta = [Some(kind), help];
        let order = if on(3) { [1, 0] } else { [0, 1] };
        order.into_iter().filter_map(|at| meta[at].as_deref()).for_each(|line| out.push_str(line));
        for sample in &family.samples {
            out.push_str(sample.name);
            if !sample.labels.is_empty() || on(4) {
                let value = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let label = |(name, v): &(&str, Cow<'_, str>)| format!("{name}=\"{}\"", value(v));
                let mut labels: Vec<String> = sample.labels.iter().map(label).collect();
                if on(5) && !labels.is_empty() {
                    labels.push(String::new());
                }
                write!(out, "{{{}}}", labels.join(if on(6) { " , " } else { "," })).unwrap();
            }
            write!(out, "{blank}{}", sample.value).unwrap();
            if let Some(timestamp) = sample.timestamp {
                write!(out, "{blank}{timestamp}").unwrap();
            }
            out.push('\n');
        }
    }
    out
}

fn names(n: usize) -> Vec<[String; 4]> {
    let name = |at: usize| format!("family_{at}:x");
    (0..n).map(|at| ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", name(at)))).collect()
}

proptest! {
    #[test]
    fn reads_back_what_was_rendered(made in made(), style in any::<u32>()) {
        let families = expected(&made, &names(made.len()));
        let body = render(&families, style);
        let read = parse(&body, Dialect::Text);
        // NaN differs from itself, but not in print.
        prop_assert_eq!(format!("{:?}", read), format!("{:?}", Ok::<_, BadExposition>(Exposition { families })), "{}", body);
    }

    #[test]
    fn a_mutilated_body_is_refused_or_read_and_never_panics(
        made in made(),
        style in any::<u32>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..3, any::<char>()), 1..6),
    ) {
        let mut body: Vec<char> = render(&expected(&made, &names(made.len())), style).chars().collect();
        for (at, what, c) in cuts {
            let at = at.index(body.len() + 1);
            match what {
                0 => body.insert(at, c),
                1 => body.truncate(at),
                _ if at < body.len() => body[at] = ['"', '\\', '\n', '{', '}', '#'][at % 6],
                _ => {}
            }
        }
        let body: String = body.into_iter().collect();
        for dialect in [Dialect::Text, Dialect::OpenMetrics] {
            if let Err(bad) = parse(&body, dialect) {
                let line = body.split('\n').nth(bad.line - 1).unwrap_or("");
                prop_assert!((1..=line.chars().count() + 1).contains(&bad.column), "{bad} in {body:?}");
            }
        }
    }

    #[test]
    fn any_text_is_survived(body in any::<String>(), content_type in any::<String>()) {
        let _ = parse(&body, Dialect::Text);
        let _ = parse(&body, Dialect::OpenMetrics);
        let _ = parse_content_type(Some(&content_type));
    }
}
