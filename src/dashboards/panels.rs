//! [`panels`]: what the dashboard shows, each with the aggregations that Dashboards makes a search of.

use serde_json::{Value, json};

use crate::schema::{self, Field, Schema};

/// One visualization.
pub struct Panel {
    /// What its id ends with.
    pub key: &'static str,
    /// Above it.
    pub title: &'static str,
    /// In a sentence.
    pub about: &'static str,
    /// How it looks.
    pub kind: Kind,
    /// Which documents: a Lucene query string, empty for all.
    pub query: String,
    /// Metrics first, then what they are split by, in the form of Dashboards.
    pub aggs: Vec<Value>,
    /// Left, top, width, height.
    pub place: (u32, u32, u32, u32),
}

/// How a panel looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Large figures.
    Numbers,
    /// Stacked bars over time.
    Bars,
    /// An area over time.
    Area,
    /// Shares of a whole.
    Donut,
    /// Rows.
    Table,
}

/// Classes of answers, each with the colour that it has in every panel.
pub const CLASSES: [(&str, &str); 6] = [
    ("1xx", "#6092C0"),
    ("2xx", "#54B399"),
    ("3xx", "#9170B8"),
    ("4xx", "#D6BF57"),
    ("5xx", "#E7664C"),
    ("other", "#98A2B3"),
];

/// All panels, from top to bottom.
pub fn panels(schema: Schema) -> Vec<Panel> {
    let name = |field: Field| field.name(schema);
    let errors = format!("{}:>=400", name(schema::RESPONSE));
    let everything = String::new;
    let requests = || metric("1", "count", json!({ "customLabel": "Requests" }));
    let volume = |id| metric(id, "sum", json!({ "field": name(schema::BYTES), "customLabel": "Bytes" }));
    let clients = |id| metric(id, "cardinality", json!({ "field": name(schema::CLIENTIP), "customLabel": "Clients" }));
    let over_time = || over_time(name(schema::TIMESTAMP));
    let by_class = |shown: fn(&str) -> bool, place| by_class(name(schema::RESPONSE), shown, place);
    let top = |field, size, label| top(name(field), size, label);
    vec![
        Panel {
            key: "sums",
            title: "Requests, clients, bytes",
            about: "How much there is in all",
            kind: Kind::Numbers,
            query: everything(),
            aggs: vec![requests(), clients("2"), volume("3")],
            place: (0, 0, 36, 8),
        },
        Panel {
            key: "error-sum",
            title: "Errors",
            about: "Answers with status 400 and above",
            kind: Kind::Numbers,
            query: errors.clone(),
            aggs: vec![metric("1", "count", json!({ "customLabel": "Errors" }))],
            place: (36, 0, 12, 8),
        },
        Panel {
            key: "traffic",
            title: "Traffic by class of answer",
            about: "Requests over time, by the first digit of their status",
            kind: Kind::Bars,
            query: everything(),
            aggs: vec![requests(), over_time(), by_class(|_| true, "group")],
            place: (0, 8, 36, 15),
        },
        Panel {
            key: "classes",
            title: "Classes of answers",
            about: "Shares of requests by the first digit of their status",
            kind: Kind::Donut,
            query: everything(),
            aggs: vec![requests(), by_class(|_| true, "segment")],
            place: (36, 8, 12, 15),
        },
        Panel {
            key: "errors",
            title: "Errors over time",
            about: "Answers with status 400 and above over time",
            kind: Kind::Bars,
            query: errors.clone(),
            aggs: vec![requests(), over_time(), by_class(|class| matches!(class, "4xx" | "5xx"), "group")],
            place: (0, 23, 24, 14),
        },
        Panel {
            key: "bytes",
            title: "Bytes over time",
            about: "Bytes of answers over time",
            kind: Kind::Area,
            query: everything(),
            aggs: vec![volume("1"), over_time()],
            place: (24, 23, 24, 14),
        },
        Panel {
            key: "pages",
            title: "Top pages",
            about: "What is asked for most",
            kind: Kind::Table,
            query: everything(),
            aggs: vec![requests(), volume("2"), top(schema::REQUEST, 20, "Page")],
            place: (0, 37, 24, 16),
        },
        Panel {
            key: "clients",
            title: "Top clients",
            about: "Who asks most",
            kind: Kind::Table,
            query: everything(),
            aggs: vec![requests(), volume("2"), top(schema::CLIENTIP, 20, "Client")],
            place: (24, 37, 24, 16),
        },
        Panel {
            key: "failing-pages",
            title: "Top errors",
            about: "Which pages are answered with status 400 and above",
            kind: Kind::Table,
            query: errors,
            aggs: vec![requests(), top(schema::REQUEST, 20, "Page"), nth("3", top(schema::RESPONSE, 5, "Status"))],
            place: (0, 53, 24, 16),
        },
        Panel {
            key: "agents",
            title: "Top agents",
            about: "With what is asked most",
            kind: Kind::Table,
            query: everything(),
            aggs: vec![requests(), clients("2"), top(schema::AGENT, 20, "Agent")],
            place: (24, 53, 24, 16),
        },
        Panel {
            key: "status",
            title: "Status",
            about: "How often each status is answered",
            kind: Kind::Table,
            query: everything(),
            aggs: vec![requests(), volume("2"), top(schema::RESPONSE, 20, "Status")],
            place: (0, 69, 24, 14),
        },
        Panel {
            key: "referrers",
            title: "Top referrers",
            about: "Where requests come from",
            kind: Kind::Table,
            query: format!("NOT {}:\"-\"", name(schema::REFERRER)),
            aggs: vec![requests(), clients("2"), top(schema::REFERRER, 20, "Referrer")],
            place: (24, 69, 24, 14),
        },
    ]
}

fn metric(id: &str, kind: &str, params: Value) -> Value {
    json!({ "id": id, "enabled": true, "type": kind, "schema": "metric", "params": params })
}

fn over_time(timestamp: &str) -> Value {
    json!({
        "id": "8",
        "enabled": true,
        "type": "date_histogram",
        "schema": "segment",
        "params": {
            "field": timestamp,
            "useNormalizedOpenSearchInterval": true,
            "scaleMetricValues": false,
            "interval": "auto",
            "drop_partials": false,
            "min_doc_count": 1,
            "extended_bounds": {},
            "customLabel": "Time",
        },
    })
}

/// One bucket for each class that is `shown`.
fn by_class(response: &str, shown: fn(&str) -> bool, place: &str) -> Value {
    let query = |class: &str| match class.strip_suffix("xx") {
        Some(digit) => format!("{response}:[{digit}00 TO {digit}99]"),
        // None at all (a `-` in the log), or one that a program made up.
        None => format!("NOT {response}:[100 TO 599]"),
    };
    let filters: Vec<Value> = CLASSES
        .iter()
        .filter(|(class, _)| shown(class))
        .map(|(class, _)| json!({ "input": { "query": query(class), "language": "lucene" }, "label": class }))
        .collect();
    json!({ "id": "9", "enabled": true, "type": "filters", "schema": place, "params": { "filters": filters } })
}

/// The values that occur most.
fn top(field: &str, size: u32, label: &str) -> Value {
    json!({
        "id": "7",
        "enabled": true,
        "type": "terms",
        "schema": "bucket",
        "params": {
            "field": field,
            "size": size,
            "order": "desc",
            "orderBy": "1",
            "otherBucket": false,
            "otherBucketLabel": "Other",
            "missingBucket": false,
            "missingBucketLabel": "Missing",
            "customLabel": label,
        },
    })
}

/// The same aggregation under another id: ids are unique within a panel.
fn nth(id: &str, mut aggregation: Value) -> Value {
    aggregation["id"] = id.into();
    aggregation
}
