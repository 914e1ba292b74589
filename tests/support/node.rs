//! [`Node`]: the real OpenSearch that tests share. Each test uses names of its own and deletes what bears them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{process, thread};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

/// The variable with the node's URL, set by `scripts/test`.
const URL: &str = "LOGHAUL_TEST_OPENSEARCH";

/// How long the shards of a new index may take to start on a busy machine.
const SHARDS_START: Duration = Duration::from_secs(60);

/// The shared node, and the prefix that all names of one test begin with.
pub struct Node {
    pub url: String,
    /// Lower case, a hyphen at its end.
    pub prefix: String,
    agent: Agent,
}

impl Node {
    /// The shared node for the test of this name (lower case).
    ///
    /// # Panics
    /// If there is no node.
    pub fn shared(test: &str) -> Node {
        let url = std::env::var(URL).unwrap_or_else(|_| {
            panic!(
                "this test needs a real OpenSearch, and {URL} is not set. `scripts/test` starts one; or: \
                 {URL}=$(scripts/opensearch start) cargo test --release -- --include-ignored"
            )
        });
        Node::at(&url, test)
    }

    /// The node at this URL, for the test of this name.
    pub fn at(url: &str, test: &str) -> Node {
        static TESTS: AtomicU64 = AtomicU64::new(0);
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(120)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
        let prefix = format!("e2e-{test}-{now:x}{:x}{:x}-", process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
        Node { url: url.trim_end_matches('/').to_owned(), prefix, agent }
    }

    /// A name of this test's own.
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Sends a request and gives status and body (null where it is not JSON).
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.agent.run(request.body(body).expect("a request"));
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().expect("an answer in UTF-8");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The same, again while shards start: an index that was made this moment is there before its shards are, and until
    /// then a search in it is answered by 503, "all shards failed".
    fn ask_started(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let since = Instant::now();
        loop {
            let (status, answer) = self.ask(method, path, body);
            let starting = status == 503 && answer["error"]["type"] == "search_phase_execution_exception";
            if !starting || since.elapsed() > SHARDS_START {
                return (status, answer);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same, where nothing but 200 or 201 will do.
    #[track_caller]
    pub fn get(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.ask_started(method, path, body);
        assert!(matches!(status, 200 | 201), "{method} {path}: {status} {answer:#}");
        answer
    }

    /// Makes all that was indexed under this test's prefix searchable.
    pub fn refresh(&self) {
        self.get("POST", &format!("/{}*/_refresh", self.prefix), None);
    }

    /// Documents in an index, by search; 0 where it does not exist.
    pub fn count(&self, index: &str) -> u64 {
        self.refresh();
        let (status, answer) = self.ask_started("GET", &format!("/{index}/_count"), None);
        if status == 404 { 0 } else { answer["count"].as_u64().unwrap_or_else(|| panic!("{index}: {answer:#}")) }
    }

    /// Runs aggregations over all documents, after a refresh.
    #[track_caller]
    pub fn aggregate(&self, index: &str, aggregations: &Value) -> Value {
        self.refresh();
        let body = json!({"size": 0, "track_total_hits": true, "aggs": aggregations});
        self.get("POST", &format!("/{index}/_search"), Some(&body))
    }

    /// Documents by the value of a field (at most 10,000 values).
    #[track_caller]
    pub fn counts_by(&self, index: &str, field: &str) -> BTreeMap<String, u64> {
        let answer = self.aggregate(index, &json!({"by": {"terms": {"field": field, "size": 10_000}}}));
        let buckets = answer["aggregations"]["by"]["buckets"].as_array().expect("buckets");
        buckets
            .iter()
            .map(|bucket| {
                let key = bucket["key"].as_str().map_or_else(|| bucket["key"].to_string(), str::to_owned);
                (key, bucket["doc_count"].as_u64().expect("a count"))
            })
            .collect()
    }

    /// All documents of the indices that match: id to index and source.
    pub fn documents(&self, index: &str) -> BTreeMap<String, (String, Value)> {
        self.refresh();
        let mut found = BTreeMap::new();
        let first = json!({"size": 2_000, "sort": ["_doc"]});
        let mut answer = self.get("POST", &format!("/{index}/_search?scroll=2m"), Some(&first));
        loop {
            let scroll = answer["_scroll_id"].clone();
            let Value::Array(hits) = answer["hits"]["hits"].take() else { panic!("no hits") };
            if hits.is_empty() {
                self.ask("DELETE", "/_search/scroll", Some(&json!({"scroll_id": [scroll]})));
                return found;
            }
            for mut hit in hits {
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                let earlier = found.insert(text(&hit["_id"]), (text(&hit["_index"]), hit["_source"].take()));
                assert!(earlier.is_none(), "the id {} is there in two indices", hit["_id"]);
            }
            answer = self.get("POST", "/_search/scroll", Some(&json!({"scroll": "2m", "scroll_id": scroll})));
        }
    }

    /// Whether the node can do something in an ingest pipeline.
    pub fn has_processor(&self, name: &str) -> bool {
        let nodes = self.get("GET", "/_nodes/ingest", None);
        let mut nodes = nodes["nodes"].as_object().expect("nodes").values();
        nodes.all(|node| node["ingest"]["processors"].as_array().expect("a list").iter().any(|p| p["type"] == name))
    }
}

impl Drop for Node {
    /// Deletes what the test left: the node is small, and shared by many.
    fn drop(&mut self) {
        let quietly = |method: &str, path: &str| -> Option<Value> {
            let request = Request::builder().method(method).uri(format!("{}{path}", self.url)).body(()).ok()?;
            let text = self.agent.run(request).ok()?.body_mut().read_to_string().ok()?;
            serde_json::from_str(&text).ok()
        };
        quietly("DELETE", &format!("/{}*?ignore_unavailable=true", self.prefix));
        let templates = quietly("GET", "/_index_template").unwrap_or_default();
        for template in templates["index_templates"].as_array().into_iter().flatten() {
            let patterns = template["index_template"]["index_patterns"].as_array().into_iter().flatten();
            let mut patterns = patterns.filter_map(Value::as_str);
            if let Some(name) = template["name"].as_str()
                && patterns.all(|pattern| pattern.starts_with(&self.prefix))
            {
                quietly("DELETE", &format!("/_index_template/{name}"));
            }
        }
        quietly("DELETE", &format!("/_ingest/pipeline/{}*", self.prefix));
    }
}
