//! How stores are asked.

/// Filled in by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// In place of the store's own: `--endpoint-url`.
    pub endpoint_url: Option<String>,
    /// Whether requests are signed; not so for what is public.
    pub sign: bool,
    /// How much of an object may be here before it is wanted, for each object that is being read, in bytes.
    pub read_ahead_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { endpoint_url: None, sign: true, read_ahead_bytes: 8 << 20 }
    }
}
