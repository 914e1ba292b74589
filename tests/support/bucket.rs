//! [`Bucket`]: a bucket of a test's own in a real S3 server that verifies signatures.

use std::io::Write;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::Folder;

/// The variable with the server's URL, set by `scripts/test`, and who may ask it (see scripts/s3proxy).
const URL: &str = "LOGHAUL_TEST_S3";
const KEY: &str = "testkey123";
const SECRET: &str = "testsecret123";

pub struct Bucket {
    pub name: String,
    /// The server's.
    pub url: String,
}

impl Bucket {
    /// A new one for the test of this name.
    ///
    /// # Panics
    /// If there is no server.
    pub fn new(test: &str) -> Bucket {
        static TESTS: AtomicU64 = AtomicU64::new(0);
        let url = std::env::var(URL).unwrap_or_else(|_| {
            panic!("this test needs a real S3 server, and {URL} is not set. `scripts/test` starts one, and so does scripts/s3proxy")
        });
        let name = format!("{test}-{:x}-{}", process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
        let bucket = Bucket { name, url };
        bucket.curl(&format!("url = \"{}/{}\"\nrequest = \"PUT\"\n", bucket.url, bucket.name));
        bucket
    }

    /// The URI of a key.
    pub fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    pub fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        self.put_all([(key.to_owned(), bytes.as_ref().to_vec())]);
    }

    /// Puts objects, several at a time.
    pub fn put_all(&self, objects: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let folder = tempfile::tempdir().expect("a folder for what is sent");
        let mut script = String::new();
        for (n, (key, bytes)) in objects.into_iter().enumerate() {
            let path = folder.path().join(n.to_string());
            std::fs::write(&path, bytes).expect("what is sent can be written");
            let url = format!("{}/{}/{}", self.url, self.name, encoded(&key));
            script.push_str(&format!("url = \"{url}\"\nupload-file = \"{}\"\n", path.display()));
        }
        self.curl(&script);
    }

    /// The keys that begin with `prefix`, of a thousand at most.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let prefix = encoded(prefix).replace('/', "%2F");
        let xml = self.curl(&format!("url = \"{}/{}?list-type=2&prefix={prefix}\"\n", self.url, self.name));
        let keys = xml.split("<Key>").skip(1).map(|after| after.split("</Key>").next().unwrap_or_default());
        keys.map(|key| key.replace("&amp;", "&")).collect()
    }

    /// Signed requests, by curl.
    fn curl(&self, script: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--noproxy",
            "*",
            "--parallel",
            "--parallel-max",
            "8",
        ]);
        curl.args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &format!("{KEY}:{SECRET}"), "--config", "-"]);
        curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        // It shows how parallel transfers go, whatever it is told.
        let mut curl = curl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("curl can be started");
        curl.stdin.take().unwrap().write_all(script.as_bytes()).expect("curl takes its orders");
        let output = curl.wait_with_output().expect("curl can be waited for");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "curl: {} {told} {}", output.status, String::from_utf8_lossy(&output.stderr));
        told
    }

    /// The program with the right to ask the server at `url`: this, or a proxy before it.
    pub fn command(&self, folder: &Folder, url: &str, arguments: &[&str]) -> Command {
        let mut command = folder.command(arguments);
        command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET).env("AWS_ENDPOINT_URL", url);
        command.env("HOME", folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        for variable in ["AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"] {
            command.env_remove(variable);
        }
        command
    }
}

/// A key in a URL.
fn encoded(key: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    key.bytes().map(byte).collect()
}
