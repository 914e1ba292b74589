//! What a load under the profile leaves when it is killed at its end: an index without refresh and replicas, and the entry
//! in the ledger that says what its own settings are.

use std::path::Path;

use rusqlite::{Connection, params};

/// What such an index has set, as the body of `PUT INDEX/_settings`.
pub fn bare() -> serde_json::Value {
    serde_json::json!({"index": {"refresh_interval": "-1", "number_of_replicas": "0"}})
}

/// Writes into the ledger of an earlier load that this index had no refresh interval set and one replica.
pub fn entry(ledger: &Path, url: &str, index: &str, uuid: &str) {
    let connection = Connection::open(ledger).expect("the ledger");
    let written = connection.execute(
        "INSERT INTO profiles (cluster, url, index_name, index_uuid, original, applied)
         SELECT cluster, ?, ?, ?, ?, ? FROM destinations LIMIT 1",
        params![
            url,
            index,
            uuid,
            r#"{"index.refresh_interval":null,"index.number_of_replicas":"1"}"#,
            r#"{"index.refresh_interval":"-1","index.number_of_replicas":"0"}"#,
        ],
    );
    assert_eq!(written, Ok(1));
}

/// How many such entries there are.
pub fn entries(ledger: &Path) -> i64 {
    let connection = Connection::open(ledger).expect("the ledger");
    connection.query_row("SELECT count(*) FROM profiles", [], |row| row.get(0)).expect("a number")
}
