//! [`Location`]: a source in an object store, as the user writes it: `s3://bucket/key`.

use std::fmt;

/// Which kind of store, told by how the word begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// S3, or whatever speaks like it.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage; its bucket is a container.
    Az,
    /// A web server: single files.
    Https,
    /// The same without TLS.
    Http,
}

impl Scheme {
    const ALL: [Scheme; 5] = [Scheme::S3, Scheme::Gs, Scheme::Az, Scheme::Https, Scheme::Http];

    /// Its name in front of `://`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::S3 => "s3",
            Scheme::Gs => "gs",
            Scheme::Az => "az",
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }

    /// Whether it is a web server, which lists nothing and takes nothing away.
    pub fn is_web(self) -> bool {
        matches!(self, Scheme::Https | Scheme::Http)
    }
}

/// Where an object lies, or many of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The kind of store.
    pub scheme: Scheme,
    /// Bucket or container; a web server's host, with user info and port if there are any.
    pub bucket: String,
    /// What follows the slash behind it, as typed: a key is never percent-encoded. Of a web server path and query, which
    /// are.
    pub key: String,
}

impl Location {
    /// Reads a word of the command line. `None` if it is no URI of a store.
    ///
    /// # Errors
    /// It begins like one, and something is missing: a sentence without a final stop.
    pub fn of(word: &str) -> Option<Result<Location, String>> {
        let (name, rest) = word.split_once("://")?;
        let name = name.trim_start();
        let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name))?;
        // The query of a web server's file may follow without a slash.
        let host_end = rest.find(|c| c == '/' || (scheme.is_web() && c == '?')).unwrap_or(rest.len());
        let (bucket, key) = (&rest[..host_end], rest[host_end..].strip_prefix('/').unwrap_or(&rest[host_end..]));
        let location = Location { scheme, bucket: bucket.to_owned(), key: key.to_owned() };
        if bucket.is_empty() {
            return Some(Err(format!("{location} names no bucket")));
        }
        if scheme.is_web() && bucket.contains(':') && !bucket.contains('@') && key.contains('@') {
            let why = "a slash or question mark in its user or password has to be written %2F or %3F";
            return Some(Err(format!("{}://***@... names no file: {why}", scheme.name())));
        }
        if scheme.is_web() && key.split('?').next().unwrap_or_default().is_empty() {
            return Some(Err(format!("{location} names a server and no file on it")));
        }
        Some(Ok(location))
    }

    /// Whether it stands for all objects below it: a bucket, or a key that ends with a slash.
    pub fn is_prefix(&self) -> bool {
        !self.scheme.is_web() && (self.key.is_empty() || self.key.ends_with('/'))
    }

    /// The same place with another key.
    pub fn with_key(&self, key: impl Into<String>) -> Location {
        Location { key: key.into(), ..self.clone() }
    }

    /// What precedes the first wildcard, and so every key that matches.
    pub fn fixed_part(&self) -> &str {
        let wild = self.key.find(['*', '?', '[', '{']).unwrap_or(self.key.len());
        &self.key[..wild]
    }

    /// Whether its key could be a glob.
    pub fn is_glob(&self) -> bool {
        !self.scheme.is_web() && self.fixed_part().len() < self.key.len()
    }

    /// The URL of a web server's file, with everything in it that may be secret.
    pub fn url(&self) -> String {
        format!("{}://{}/{}", self.scheme.name(), self.bucket, self.key)
    }
}

/// As it is called everywhere: without what may be secret in a URL, which is user info and query (a signed link).
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location { scheme, bucket, key } = self;
        if !scheme.is_web() {
            return write!(f, "{}://{bucket}/{key}", scheme.name());
        }
        let host = bucket.rsplit('@').next().unwrap_or(bucket);
        let path = key.split(['?', '#']).next().unwrap_or_default();
        write!(f, "{}://{host}/{path}", scheme.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let cases = [
            ("s3://logs/a/b c+%41.gz", Some(("logs", "a/b c+%41.gz")), "s3://logs/a/b c+%41.gz"),
            ("s3://logs", Some(("logs", "")), "s3://logs/"),
            ("s3://logs/2024/", Some(("logs", "2024/")), "s3://logs/2024/"),
            ("gs://b//k", Some(("b", "/k")), "gs://b//k"),
            ("az://c/k", Some(("c", "k")), "az://c/k"),
            ("https://joe:secret@h:8/a.gz?sig=x", Some(("joe:secret@h:8", "a.gz?sig=x")), "https://h:8/a.gz"),
            ("logs/access.log", None, ""),
            ("s3:/logs", None, ""),
            ("ftp://host/a", None, ""),
        ];
        for (word, expected, shown) in cases {
            let found = Location::of(word).map(Result::unwrap);
            assert_eq!(found.as_ref().map(|found| (&*found.bucket, &*found.key)), expected, "{word}");
            assert_eq!(found.map_or(String::new(), |found| found.to_string()), shown, "{word}");
        }
        assert_eq!(Location::of("HTTPS://h/A.gz").unwrap().unwrap().to_string(), "https://h/A.gz");
        for word in [
            "https://joe:secret@host/?sig=secret",
            "https://joe:secret@host?sig=secret",
            " HTTP://joe:secret@host",
            "https://joe:sec/secret@host/a.log",
            "https://joe:sec?secret@host/a.log",
            "https:///a?sig=secret",
        ] {
            let why = Location::of(word).unwrap().unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
        for word in ["s3://", "s3:///key", "https://host", "https://host/", "https://host/?a=b"] {
            assert!(Location::of(word).unwrap().is_err(), "{word}");
        }
    }

    #[test]
    fn prefixes_and_globs() {
        let of = |word: &str| Location::of(word).unwrap().unwrap();
        assert!(of("s3://b").is_prefix() && of("s3://b/a/").is_prefix() && !of("s3://b/a").is_prefix());
        assert_eq!(of("s3://b/logs/2024-*/x?.gz").fixed_part(), "logs/2024-");
        assert!(of("s3://b/a*").is_glob() && !of("s3://b/a").is_glob() && !of("https://h/a?b=[c]").is_glob());
    }
}
