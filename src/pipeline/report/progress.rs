//! Progress while a run is under way.

/// How progress is shown, on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A bar that is drawn again and again, on a terminal.
    Bar,
    /// A plain line every ten seconds.
    Lines,
    /// Not at all.
    None,
}
