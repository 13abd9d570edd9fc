//! `guard::Registry` beside `prometheus::Registry`: the same answers to registrations, and the same bytes.

use gatherlock_guard::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary};
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntGaugeVec, Opts, TextEncoder,
};
use proptest::prelude::*;
use std::collections::HashMap;

/// The real registry and ours, given the same things to do.
struct Pair {
    real: prometheus::Registry,
    ours: Registry,
}

impl Pair {
    fn new(prefix: Option<String>, labels: Option<HashMap<String, String>>) -> Pair {
        // Clones of a map iterate alike, and the order of iteration is the order of the labels in the text.
        let real = prometheus::Registry::new_custom(prefix.clone(), labels.clone());
        let ours = Registry::new_custom(prefix, labels);
        match (real, ours) {
            (Ok(real), Ok(ours)) => Pair { real, ours },
            (real, ours) => panic!("one refuses: {real:?}, {ours:?}"),
        }
    }

    /// Registers with both and returns the answer on which they agree.
    fn register<C: Collector + Clone + 'static>(&self, collector: &C) -> Result<(), String> {
        let real = self.real.register(Box::new(collector.clone())).map_err(|error| error.to_string());
        let ours = self.ours.register(Box::new(collector.clone())).map_err(|error| error.to_string());
        assert_eq!(real, ours, "the two registries answer a registration differently");
        ours
    }

    fn unregister<C: Collector + Clone + 'static>(&self, collector: &C) -> Result<(), String> {
        let real = self.real.unregister(Box::new(collector.clone())).map_err(|error| error.to_string());
        let ours = self.ours.unregister(Box::new(collector.clone())).map_err(|error| error.to_string());
        assert_eq!(real, ours, "the two registries answer an unregistration differently");
        ours
    }

    /// The text on which all three ways agree: theirs, ours through `gather`, ours written directly. Twice, because the
    /// second writing may use the remembered order.
    fn text(&self) -> String {
        let real = TextEncoder::new().encode_to_string(&self.real.gather()).unwrap();
        for _ in 0..2 {
            let gathered = TextEncoder::new().encode_to_string(&self.ours.gather()).unwrap();
            assert_eq!(gathered, real, "gather() differs");
            assert_eq!(self.ours.encode_to_string(), real, "encode() differs");
        }
        real
    }
}

/// Values that number formatting gets wrong first, and ordinary ones.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<i64>().prop_map(|whole| whole as f64),
        (-1000_i32..1000).prop_map(|small| f64::from(small) / 8.0),
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(9_007_199_254_740_991.0),
        Just(9_007_199_254_740_992.0),
        Just(1e308),
        Just(5e-324),
    ]
}

/// Label values with everything that is escaped, and enough alike to collide.
fn label() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,2}", "[a-c\\\\\"\n é\u{0}]{0,6}"]
}

/// A collector that returns what it is told to, described as it is told to.
#[derive(Clone)]
struct Told {
    descs: Vec<Desc>,
    families: Vec<MetricFamily>,
}

impl Collector for Told {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }
    fn collect(&self) -> Vec<MetricFamily> {
        self.families.clone()
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_string());
    pair.set_value(value.to_string());
    pair
}

/// Series of one summary family, with timestamps and with uneven numbers of labels.
fn summary(series: Vec<(Vec<String>, i64, f64)>) -> MetricFamily {
    let metrics = series.into_iter().map(|(labels, timestamp, value)| {
        let mut quantile = Quantile::default();
        quantile.set_quantile(0.5);
        quantile.set_value(value);
        let mut summary = Summary::default();
        summary.set_quantile(vec![quantile]);
        summary.set_sample_sum(value);
        summary.set_sample_count(labels.len() as u64);
        let mut metric = Metric::default();
        metric.set_label(labels.iter().enumerate().map(|(at, value)| pair(&format!("l{at}"), value)).collect());
        metric.set_summary(summary);
        metric.set_timestamp_ms(timestamp);
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name("told_summary".to_string());
    family.set_help("back\\slash, line\nfeed and \"quotes\"".to_string());
    family.set_field_type(MetricType::SUMMARY);
    family.set_metric(metrics.collect());
    family
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_text_is_the_same(
        prefix in proptest::option::of("[a-z]{1,3}"),
        common in proptest::option::of(proptest::collection::hash_map("[m-p]{1,2}", label(), 0..3)),
        counters in proptest::collection::vec((label(), label(), value()), 0..100),
        gauges in proptest::collection::vec((label(), value()), 0..8),
        observed in proptest::collection::vec((label(), value()), 0..12),
        bounds in proptest::collection::btree_set(0_u32..100, 1..4),
        told in proptest::collection::vec((proptest::collection::vec(label(), 0..3), -2_i64..3, value()), 0..6),
        alone in value(),
    ) {
        let both = Pair::new(prefix, common);
        let counter = CounterVec::new(Opts::new("c_total", "Counted."), &["one", "two"]).unwrap();
        for (one, two, value) in counters {
            // A counter takes no NaN; `max` makes it 0.
            counter.with_label_values(&[one, two]).inc_by(value.abs().max(0.0));
        }
        // The same name twice, told apart by a constant label: two collectors, one family.
        for side in ["left", "right"] {
            let vec = GaugeVec::new(Opts::new("g", "Gauged.").const_label("side", side), &["one"]).unwrap();
            for (one, value) in &gauges {
                vec.with_label_values(&[one]).set(*value);
            }
            both.register(&vec).unwrap();
        }
        let buckets = bounds.into_iter().map(|bound| f64::from(bound) / 8.0).collect();
        let histogram = HistogramVec::new(HistogramOpts::new("h", "Observed.").buckets(buckets), &["one"]).unwrap();
        for (one, value) in observed {
            histogram.with_label_values(&[one]).observe(value);
        }
        let lone = Gauge::new("a_lone_gauge", "Alone.").unwrap();
        lone.set(alone);
        both.register(&histogram).unwrap();
        both.register(&counter).unwrap();
        both.register(&lone).unwrap();
        let desc = Desc::new("told".into(), "Told.".into(), vec![], HashMap::new()).unwrap();
        // Twice in one collector: merged in the order in which the collector returns them.
        both.register(&Told { descs: vec![desc], families: vec![summary(told.clone()), summary(told)] }).unwrap();
        prop_assert!(both.text().contains("a_lone_gauge"));
    }

    #[test]
    fn registrations_are_answered_alike(
        steps in proptest::collection::vec((any::<bool>(), proptest::collection::vec((0_usize..3, 0_usize..3, 0_usize..2), 0..3)), 1..24)
    ) {
        let both = Pair::new(None, None);
        for (register, descs) in steps {
            // Few names, label sets and help texts: collisions of every kind are the point.
            let descs: Vec<Desc> = descs
                .into_iter()
                .map(|(name, constant, help)| {
                    let constants = [("side".to_string(), constant.to_string())].into_iter().take(constant).collect();
                    Desc::new(format!("m{name}"), format!("Help {help}."), vec![], constants).unwrap()
                })
                .collect();
            let told = Told { families: Vec::new(), descs };
            let _agreed = if register { both.register(&told) } else { both.unregister(&told) };
        }
    }
}

#[test]
fn each_kind_of_refusal_is_met_and_worded_alike() {
    let both = Pair::new(None, None);
    let counter = IntCounter::new("jobs_total", "Jobs.").unwrap();
    assert_eq!(both.unregister(&counter).map_err(|text| text.contains("is not registered")), Err(true));
    both.register(&counter).unwrap();
    assert!(both.register(&counter).unwrap_err().contains("Duplicate"));
    let other_labels = IntGaugeVec::new(Opts::new("jobs_total", "Jobs."), &["kind"]).unwrap();
    // The id is made of name and constant labels: the vector has the counter's.
    assert!(both.register(&other_labels).unwrap_err().contains("Duplicate"));
    let other_help = Gauge::with_opts(Opts::new("jobs_total", "Tasks.").const_label("a", "b")).unwrap();
    assert!(both.register(&other_help).unwrap_err().contains("different label names or a different help string"));
    let desc = Desc::new("twice".into(), "Twice.".into(), vec![], HashMap::new()).unwrap();
    let twice = Told { descs: vec![desc.clone(), desc], families: Vec::new() };
    assert!(both.register(&twice).unwrap_err().contains("duplicate descriptor within the same collector"));
    both.unregister(&counter).unwrap();
    assert!(both.unregister(&counter).is_err());
    both.register(&counter).unwrap();
}

#[test]
fn an_empty_prefix_is_refused_alike() {
    let real = prometheus::Registry::new_custom(Some(String::new()), None).unwrap_err().to_string();
    let ours = Registry::new_custom(Some(String::new()), None).unwrap_err().to_string();
    assert_eq!(real, ours);
}

#[test]
fn families_of_any_number_of_series_are_ordered_alike_while_series_come_and_go() {
    let both = Pair::new(None, None);
    let vec = CounterVec::new(Opts::new("c_total", "Counted."), &["n"]).unwrap();
    both.register(&vec).unwrap();
    for n in 0..300 {
        vec.with_label_values(&[&(n * 7919 % 300).to_string()]).inc();
        if n % 60 == 0 {
            both.text();
        }
    }
    vec.remove_label_values(&["42"]).unwrap();
    assert_eq!(both.text().lines().count(), 2 + 299);
}

/// Large families, of which labels and order are remembered from one writing to the next: whatever changes between two of
/// them, the text is the real one's.
mod remembered {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Shows whatever series it is given.
    #[derive(Clone)]
    struct Changing {
        desc: Desc,
        series: Arc<Mutex<Vec<Metric>>>,
    }

    impl Collector for Changing {
        fn desc(&self) -> Vec<&Desc> {
            vec![&self.desc]
        }
        fn collect(&self) -> Vec<MetricFamily> {
            let mut family = MetricFamily::default();
            family.set_name("changing".to_string());
            family.set_field_type(MetricType::GAUGE);
            family.set_metric(self.series.lock().unwrap().clone());
            vec![family]
        }
    }

    /// A label's name and value; few of them, so that two series often look alike where they are not.
    fn any_pair() -> impl Strategy<Value = (String, String)> {
        (
            "[ab]",
            prop_oneof![
                "[xy]{0,2}",
                Just("\"".into()),
                Just("x\",b=\"y".into()),
                Just("\\\\".into()),
                Just("\\".into())
            ],
        )
    }

    fn any_series() -> impl Strategy<Value = (Vec<(String, String)>, i64)> {
        (proptest::collection::vec(any_pair(), 0..3), prop_oneof![9 => Just(0_i64), 1 => Just(5)])
    }

    fn gauge(value: f64) -> prometheus::proto::Gauge {
        let mut gauge = prometheus::proto::Gauge::default();
        gauge.set_value(value);
        gauge
    }

    fn metric(labels: &[(String, String)], timestamp: i64, value: f64) -> Metric {
        let mut metric = Metric::default();
        metric.set_label(labels.iter().map(|(name, value)| pair(name, value)).collect());
        metric.set_gauge(gauge(value));
        metric.set_timestamp_ms(timestamp);
        metric
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn the_text_is_the_same_whatever_changed_since_the_last(
            common in proptest::option::of(Just(HashMap::from([("zone".to_string(), "a\"b".to_string())]))),
            plain in any::<bool>(),
            changes in proptest::collection::vec((0_usize..80, any_series(), any::<f64>(), 0_u8..5), 1..12),
        ) {
            let both = Pair::new(None, common);
            let desc = Desc::new("changing".into(), "Changes.".into(), vec![], HashMap::new()).unwrap();
            let usual = |n: usize| vec![("a".to_string(), format!("{}", n * 7919 % 80)), ("b".to_string(), "x".to_string())];
            let series = Arc::new(Mutex::new((0..80).map(|n| metric(&usual(n), 0, n as f64)).collect::<Vec<_>>()));
            both.register(&Changing { desc, series: Arc::clone(&series) }).unwrap();
            both.text();
            for (at, (labels, timestamp), value, how) in changes {
                let labels = if plain { usual(at + 80) } else { labels };
                let new = metric(&labels, timestamp, value);
                let mut series = series.lock().unwrap();
                let at = at % series.len();
                match how {
                    0 => series[at] = new,
                    1 => series.insert(at, new),
                    2 => drop(series.remove(at)),
                    // Another value, all labels as they were.
                    3 => series[at].set_gauge(gauge(value)),
                    _ => series.swap(at, 0),
                }
                drop(series);
                both.text();
            }
        }
    }
}

#[test]
fn the_encoder_trait_and_the_string_agree() {
    let registry = Registry::new();
    registry.register(Box::new(IntCounter::new("jobs_total", "Jobs.").unwrap())).unwrap();
    let mut bytes = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut bytes).unwrap();
    assert_eq!(bytes, registry.encode_to_string().into_bytes());
}
