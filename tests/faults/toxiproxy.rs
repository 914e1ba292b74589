//! [`Toxiproxy`]: a bad network, by scripts/toxiproxy.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A toxiproxy with one proxy in front of one node. Ended when dropped.
pub struct Toxiproxy {
    child: Child,
    api: String,
    /// Where clients go.
    pub url: String,
}

impl Toxiproxy {
    /// In front of this node, as yet doing nothing. `seed` decides whom a toxic with a toxicity below 1 hits.
    pub fn before(node_url: &str, seed: u64) -> Toxiproxy {
        let [api, listen] = [(); 2].map(|()| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("an address")
        });
        let child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/toxiproxy"))
            .args(["run", "--port", &api.port().to_string(), "--seed", &seed.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("scripts/toxiproxy can be started");
        let toxiproxy = Toxiproxy { child, api: format!("http://{api}"), url: format!("http://{listen}") };
        let since = Instant::now();
        while TcpStream::connect(api).is_err() {
            // The first time, it is built.
            assert!(since.elapsed() < Duration::from_secs(300), "toxiproxy does not come up; see its messages above");
            thread::sleep(Duration::from_millis(20));
        }
        let upstream = node_url.trim_start_matches("http://");
        let proxy = json!({"name": "node", "listen": listen.to_string(), "upstream": upstream, "enabled": true});
        toxiproxy.post("/proxies", &proxy);
        toxiproxy
    }

    /// Adds a toxic: its type, `upstream` (requests) or `downstream` (answers), which part of connections it hits
    /// (0 to 1), and its attributes.
    pub fn add(&self, kind: &str, stream: &str, toxicity: f64, attributes: Value) {
        let toxic = json!({"name": format!("{kind}-{stream}"), "type": kind, "stream": stream, "toxicity": toxicity,
                           "attributes": attributes});
        self.post("/proxies/node/toxics", &toxic);
    }

    /// A good network again.
    pub fn reset(&self) {
        self.post("/reset", &json!({}));
    }

    fn post(&self, path: &str, body: &Value) {
        let url = format!("{}{path}", self.api);
        ureq::post(&url).send(body.to_string()).unwrap_or_else(|error| panic!("{url} {body}: {error}"));
    }
}

impl Drop for Toxiproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
