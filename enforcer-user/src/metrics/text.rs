//! The two text formats. OpenMetrics for those who ask for it; for others, `curl` among them, the older format of Prometheus, in
//! which a counter's description has the counter's whole name.

use std::fmt::{self, Write as _};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel as _, EncodeLabelSet, LabelSetEncoder, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{self, Registry};

use crate::metrics::Scrape;
use crate::metrics::instrument::{Instrument, Kind, Sample, Unit, Value};
use crate::metrics::table::INSTRUMENTS;

/// How metrics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
}

impl Format {
    /// What suits a request's `Accept`.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    pub(super) fn write(self, scrape: Scrape) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut text = String::new();
        // Writing to memory cannot fail, and nothing else does.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => prometheus(&text),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        INSTRUMENTS.iter().try_for_each(|instrument| instrument.encode(self, &mut encoder))
    }
}

impl Instrument {
    fn encode(&self, scrape: &Scrape, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let unit = self.unit.map(|unit| match unit {
            Unit::Seconds => registry::Unit::Seconds,
            Unit::Bytes => registry::Unit::Bytes,
        });
        let base = self.base();
        let mut metric = encoder.encode_descriptor(&base, self.help, unit.as_ref(), kind)?;
        for Sample { labels, value } in (self.read)(scrape) {
            if labels.is_empty() {
                encode(&mut metric, self.kind, value)?;
                continue;
            }
            let labels = Labels(self.labels.iter().copied().zip(labels).collect());
            encode(&mut metric.encode_family(&labels)?, self.kind, value)?;
        }
        Ok(())
    }
}

fn encode(metric: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => metric.encode_counter::<Labels, _, u64>(&value, None),
        (Kind::Counter, Value::Real(value)) => metric.encode_counter::<Labels, _, u64>(&value, None),
        (_, Value::Whole(value)) => metric.encode_gauge(&value),
        (_, Value::Real(value)) => metric.encode_gauge(&value),
        (_, Value::Spread(sum, buckets)) => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            metric.encode_histogram::<Labels>(sum, count, &buckets, None)
        }
    }
}

/// Labels and their values.
#[derive(Debug)]
struct Labels(Vec<(&'static str, String)>);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| (*name, value.as_str()).encode(encoder.encode_label()))
    }
}

/// OpenMetrics as Prometheus's own format: a counter is described by the name that its samples have.
fn prometheus(text: &str) -> String {
    let mut rewritten = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        let described = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what @ ("HELP" | "TYPE")), Some(name), Some(rest)) => {
                INSTRUMENTS.iter().find(|one| one.family() == name).map(|one| (what, one.name(), rest))
            }
            _ => None,
        };
        // Writing to memory cannot fail.
        let _ = match described {
            Some((what, name, rest)) => writeln!(rewritten, "# {what} {name} {rest}"),
            None => writeln!(rewritten, "{line}"),
        };
    }
    rewritten
}
