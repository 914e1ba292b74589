//! [`Verifier`]: a door that lets in what AWS's own signer would have signed alike, before the shared node.
//!
//! See `sigv4_verifier.py` beside this file; `scripts/test` installs what it needs.

#![cfg_attr(not(feature = "aws"), allow(dead_code))]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use ureq::Agent;

use crate::support::{Folder, Node};

/// The keys that a verifier accepts at first.
pub const KEY_ID: &str = "AKIATESTTESTTESTTEST";
pub const SECRET: &str = "Pl4nted/aws+secret/key/wJalrXUtnFEMI";
pub const TOKEN: &str = "Pl4nted/session+token//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqw==";

/// A running verifier. Ended when dropped.
pub struct Verifier {
    pub url: String,
    child: Child,
    agent: Agent,
}

impl Verifier {
    /// Before this node; it accepts [`KEY_ID`] with its token, for `es` in `eu-west-1`.
    ///
    /// # Panics
    /// If what it needs is not installed.
    pub fn before(node: &Node) -> Verifier {
        let packages = std::env::var("LOGHAUL_TEST_BOTOCORE").expect(
            "this test needs AWS's signer, and LOGHAUL_TEST_BOTOCORE (a folder with botocore) is not set; `scripts/test` \
             installs it",
        );
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/secured/sigv4_verifier.py"))
            .arg(&node.url)
            .env("PYTHONPATH", packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 can be started");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut url).expect("its URL");
        let agent = Agent::config_builder().proxy(None).build().new_agent();
        let verifier = Verifier { url: url.trim_end().to_owned(), child, agent };
        assert!(verifier.url.starts_with("http://"), "the verifier did not start");
        verifier.rules(json!({}));
        verifier
    }

    /// Changes the rules; what is left out goes back to its default.
    pub fn rules(&self, mut rules: Value) {
        if rules["keys"].is_null() {
            rules["keys"] = json!([{"id": KEY_ID, "secret": SECRET, "token": TOKEN}]);
        }
        self.agent.put(format!("{}/__rules", self.url)).send(rules.to_string()).expect("rules are taken");
    }

    /// What came so far.
    pub fn seen(&self) -> Value {
        let mut answer = self.agent.get(format!("{}/__seen", self.url)).call().expect("an answer");
        serde_json::from_str(&answer.body_mut().read_to_string().expect("text")).expect("JSON")
    }

    /// The program, with AWS's settings out of `environment` and from nowhere else.
    pub fn command(&self, folder: &Folder, words: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = folder.command(words);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("HOME", folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(environment.iter().copied());
        command
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
