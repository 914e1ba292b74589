//! As much HTTP/1.1 as bulk requests and their answers take: a head, and a body of known length or in chunks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The head of a request or an answer.
#[derive(Debug, Default)]
pub struct Head {
    /// `POST /_bulk HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub first: String,
    /// `Content-Length`.
    pub length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// `Content-Encoding`.
    pub encoding: String,
    /// `Expect: 100-continue`.
    pub expects: bool,
    /// `Connection: close`.
    pub closes: bool,
}

impl Head {
    /// Reads a head; `None` where the other side is gone.
    ///
    /// # Errors
    /// The connection broke.
    pub fn read(input: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut head = Head::default();
        let mut line = String::new();
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let text = line.trim_end();
            if text.is_empty() && !head.first.is_empty() {
                return Ok(Some(head));
            }
            if head.first.is_empty() {
                text.clone_into(&mut head.first);
                continue;
            }
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.parse().ok(),
                "transfer-encoding" => head.chunked = value.eq_ignore_ascii_case("chunked"),
                "content-encoding" => value.clone_into(&mut head.encoding),
                "expect" => head.expects = true,
                "connection" => head.closes = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
    }

    /// Reads the whole body into `body`, as it was sent.
    ///
    /// # Errors
    /// The connection broke, or the chunks are none.
    pub fn body(&self, input: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
        body.clear();
        if !self.chunked {
            let length = self.length.unwrap_or(0);
            let read = input.take(length).read_to_end(body)?;
            return if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let mut line = String::new();
        loop {
            line.clear();
            input.read_line(&mut line)?;
            let size = line.trim_end().split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(|_| io::Error::other("no size of a chunk"))?;
            if size > 0 && input.take(size).read_to_end(body)? as u64 != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            line.clear();
            input.read_line(&mut line)?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

/// Sends one request and gives the answer's status line and body.
///
/// # Errors
/// There is no answer.
pub fn request(address: &str, method: &str, path: &str, body: &str) -> io::Result<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes())?;
    let mut input = BufReader::new(stream);
    let head = Head::read(&mut input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut answer = Vec::new();
    head.body(&mut input, &mut answer)?;
    Ok((head.first, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_bodies() {
        let text = "POST /_bulk HTTP/1.1\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc\
                    POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n\
                    GET / HTTP/1.1\r\n\r\n";
        let mut input = text.as_bytes();
        for (body, encoding) in [("abc", "gzip"), ("def", ""), ("", "")] {
            let head = Head::read(&mut input).unwrap().unwrap();
            let mut read = Vec::new();
            head.body(&mut input, &mut read).unwrap();
            assert_eq!((read.as_slice(), head.encoding.as_str()), (body.as_bytes(), encoding));
        }
        assert!(Head::read(&mut input).unwrap().is_none());
    }
}
