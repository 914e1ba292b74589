//! How stores are asked.

/// Filled in by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// In place of the store's own: `--endpoint-url`.
    pub endpoint_url: Option<String>,
    /// Whether requests are signed; not so for what is public.
    pub sign: bool,
    /// How much of all objects that are being read may be here before it is wanted, in bytes.
    pub read_ahead_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { endpoint_url: None, sign: true, read_ahead_bytes: 20 << 20 }
    }
}
