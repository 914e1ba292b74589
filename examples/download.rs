//! A plain parallel download by object_store, to nowhere: what a load of the same object is measured against.
//!
//! ```text
//! AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… cargo run --release --example download -- http://127.0.0.1:8081 BUCKET KEY [PARTS]
//! ```

use std::time::Instant;

use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// As AWS's own tools have it, in bytes.
const PART_BYTES: u64 = 8 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, endpoint, bucket, key, more @ ..] = &arguments[..] else {
        return Err("usage: download ENDPOINT BUCKET KEY [PARTS]".into());
    };
    let parts = more.first().map_or(Ok(8), |parts| parts.parse())?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = AmazonS3Builder::from_env()
        .with_endpoint(endpoint)
        .with_bucket_name(bucket)
        .with_region("us-east-1")
        .with_allow_http(true)
        .build()?;
    let began = Instant::now();
    let bytes = runtime.block_on(async {
        let path = Path::parse(key)?;
        let bytes = store.head(&path).await?.size;
        let ranges = (0..bytes.div_ceil(PART_BYTES)).map(|n| n * PART_BYTES..bytes.min((n + 1) * PART_BYTES));
        let store: &dyn ObjectStore = &store;
        let parts =
            futures_util::stream::iter(ranges).map(|range| store.get_range(&path, range)).buffer_unordered(parts);
        let taken = parts.map(|part| part.map(|part| part.len() as u64)).collect::<Vec<_>>().await;
        taken.into_iter().sum::<Result<u64, _>>().map_err(Box::<dyn std::error::Error>::from)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    println!("{bytes} bytes in {seconds:.2} s: {:.0} MB/s", bytes as f64 / seconds / 1e6);
    Ok(())
}
