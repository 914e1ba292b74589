//! [`Secured`]: the real node with the security plugin that `scripts/test` starts, asked as its administrator.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// The node. Users (password = name): admin; writer, who may create `apache-*` and write to it; reader, who may read it.
pub struct Secured {
    pub url: String,
    agent: Agent,
}

impl Secured {
    /// # Panics
    /// If there is none.
    pub fn node() -> Secured {
        let url = variable("LOGHAUL_TEST_SECURED");
        let pem = std::fs::read(Secured::certificate("ca.pem")).expect("the node's authority");
        let roots: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(120)))
            .http_status_as_error(false)
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build())
            .build()
            .new_agent();
        Secured { url, agent }
    }

    /// A file of `conf/certs`: see scripts/opensearch_security.sh.
    pub fn certificate(name: &str) -> String {
        PathBuf::from(variable("LOGHAUL_TEST_CERTIFICATES")).join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Asks as admin; a 2xx is expected.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", "Basic YWRtaW46YWRtaW4=")
            .header("content-type", "application/json");
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.agent.run(request.body(body).expect("a request"));
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answer.body_mut().read_to_string().expect("an answer");
        assert!(answer.status().is_success(), "{method} {path}: {} {text}", answer.status());
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Documents in an index that was loaded.
    pub fn count(&self, index: &str) -> u64 {
        self.ask("POST", &format!("/{index}/_refresh"), None);
        self.ask("GET", &format!("/{index}/_count"), None)["count"].as_u64().expect("a count")
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "this test needs an OpenSearch with the security plugin, and {name} is not set; `scripts/test` starts one"
        )
    })
}
