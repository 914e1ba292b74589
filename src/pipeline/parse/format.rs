//! [`Format`]: which LogFormat a file has.

use std::fmt;
use std::str::FromStr;

/// A LogFormat by its usual name. `%O` in the place of `%b` makes no difference to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Format {
    /// `%h %l %u %t "%r" %>s %b`
    Common,
    /// `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`
    Combined,
    /// `%v %h %l %u %t "%r" %>s %b`
    VhostCommon,
    /// `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`
    VhostCombined,
    /// `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O`
    CombinedIo,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 5] =
        [Format::Common, Format::Combined, Format::VhostCommon, Format::VhostCombined, Format::CombinedIo];

    /// The format's name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Common => "common",
            Format::Combined => "combined",
            Format::VhostCommon => "vhost_common",
            Format::VhostCombined => "vhost_combined",
            Format::CombinedIo => "combinedio",
        }
    }

    /// Whether a virtual host stands before the client.
    #[inline]
    pub fn has_vhost(self) -> bool {
        matches!(self, Format::VhostCommon | Format::VhostCombined)
    }

    /// Whether referrer and agent follow the size.
    #[inline]
    pub fn has_referrer(self) -> bool {
        matches!(self, Format::Combined | Format::VhostCombined | Format::CombinedIo)
    }

    /// Whether it has all fields of `other` and more: then `other` takes its lines too, and leaves fields unread.
    pub fn is_richer_than(self, other: Format) -> bool {
        self != other
            && self.has_vhost() >= other.has_vhost()
            && self.has_referrer() >= other.has_referrer()
            && self.has_bytes_in_out() >= other.has_bytes_in_out()
    }

    /// Whether bytes in and bytes out follow the agent.
    #[inline]
    pub fn has_bytes_in_out(self) -> bool {
        self == Format::CombinedIo
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    /// Takes the name, in any case, with `-` for `_` too.
    fn from_str(name: &str) -> Result<Format, String> {
        let wanted = name.to_ascii_lowercase().replace('-', "_");
        Format::ALL.into_iter().find(|format| format.as_str() == wanted).ok_or_else(|| {
            format!("there is no format `{name}`: use auto, {}", Format::ALL.map(Format::as_str).join(", "))
        })
    }
}
