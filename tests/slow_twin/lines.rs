//! Lines made by hand: each field in every form that is known to go wrong somewhere, every length around the borders
//! of wide loads, every prefix of a good line.

/// A line's parts, in order, with what separates them.
#[derive(Clone)]
struct Parts {
    vhost: Vec<u8>,
    client: Vec<u8>,
    ident: Vec<u8>,
    user: Vec<u8>,
    time: Vec<u8>,
    request: Vec<u8>,
    status: Vec<u8>,
    bytes: Vec<u8>,
    referrer: Vec<u8>,
    agent: Vec<u8>,
    tail: Vec<u8>,
}

impl Parts {
    fn good() -> Parts {
        Parts {
            vhost: b"".into(),
            client: b"192.0.2.7 ".into(),
            ident: b"- ".into(),
            user: b"- ".into(),
            time: b"[19/Dec/2020:13:57:26 +0100] ".into(),
            request: b"\"GET /index.html?a=b HTTP/1.1\" ".into(),
            status: b"200 ".into(),
            bytes: b"12345".into(),
            referrer: b" \"http://www.example.com/start\"".into(),
            agent: b" \"Mozilla/5.0 (X11; Linux x86_64)\"".into(),
            tail: b"".into(),
        }
    }

    fn line(&self) -> Vec<u8> {
        [
            &self.vhost,
            &self.client,
            &self.ident,
            &self.user,
            &self.time,
            &self.request,
            &self.status,
            &self.bytes,
            &self.referrer,
            &self.agent,
            &self.tail,
        ]
        .map(|part| &part[..])
        .concat()
    }
}

/// Lines with one part replaced by each of `variants`.
fn with(set: impl Fn(&mut Parts, Vec<u8>), variants: &[&[u8]]) -> Vec<Vec<u8>> {
    let line = |variant: &&[u8]| {
        let mut parts = Parts::good();
        set(&mut parts, variant.to_vec());
        parts.line()
    };
    variants.iter().map(line).collect()
}

/// Insides of quoted fields: escapes, UTF-8 good and bad, controls.
pub const INSIDES: &[&[u8]] = &[
    b"",
    b"-",
    b" ",
    b"a b",
    b"\\\"",
    b"\\\"a",
    b"a\\\"",
    b"\\\"\\\"",
    b"a\\\\",
    b"a\\\\\\\"",
    b"a\\",
    b"\\x41",
    b"\\\\x41",
    b"\\xC3",
    b"\\xc3\\xa9",
    b"\\xC3\\xA9",
    b"\\x4g",
    b"\\x4",
    b"\\x",
    b"\\q",
    b"\\f",
    b"\\x00",
    b"\\t\\n\\v\\b\\r",
    b"a\\\"\\q",
    b"\\xe2\\x82\\xac",
    b"\xe2\\x82\\xac",
    b"\\xe2\x82\xac",
    b"\xe2\x82\xac",
    b"\xc3",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\\xed\\xa0\\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xff\xfe\xfd",
    b"\xff\\\"",
    b"a\x7fb",
    b"\\x7f",
    b"\\xc2\\x85",
    b"\xc2\x85",
    b"\t\\\"",
    b"\x00",
    b"\x01\x1f",
    b"a\rb",
    b"a\r",
    b"\x0b\x0c\x08",
    b"[x] ",
    b"' %22 '",
    b"\\u0041",
    b"\\/",
    b"\xf0\x9f\x98\x80",
    b"\\xf0\\x9f\\x98\\x80",
    b"/a\\ b",
    b"\\ ",
    b"\\\\ ",
];

const TAILS: &[&[u8]] = &[
    b" ",
    b"  ",
    b" \"-\"",
    b" \"-\" ",
    b" \"-\"x",
    b" \"-\"\r",
    b" a\rb",
    b"\r192.0.2.8 - - [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"",
    b"\r\r",
    b"\"-\"",
    b" \"a \\\" b\"",
    b" \"open",
    b" \xff\xfe",
    b"x",
    b"\"",
    b" 1234",
    b" 0/1234",
    b" 12 34",
    b" 12 34 ",
    b" 12 34 \"-\"",
    b" 12 34x",
    b" - -",
    b" 012 00",
    b" 12",
    b" 12 ",
    b" 12  34",
    b" 123456789012345678 9223372036854775807",
    b" 9223372036854775808 1",
    b" 12 -",
    b" -1 5",
    b"\t",
    b" \t",
    b" a\rb",
    b"\r",
    b" \r",
    b" {\"a\":1}",
    b" \"-\"\r",
    b"12 34",
];

/// All of them.
pub fn handmade() -> impl Iterator<Item = Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = vec![Parts::good().line()];
    lines.extend(with(
        |parts, client| parts.client = client,
        &[
            b"",
            b" ",
            b"- ",
            b"a ",
            b"::1 ",
            b"2001:db8::1 ",
            b"fe80::1%eth0 ",
            b"a\"b ",
            b"a\\x41 ",
            b"a\\ ",
            b"a\xe9 ",
            b"a\tb ",
            b"\xc3\xa9 ",
            b"\x00\x00\x00\x00192.0.2.7 ",
            b"\xef\xbb\xbf192.0.2.7 ",
            b"\0\xef\xbb\xbf\0a ",
            b"\xef\xbb\xbf ",
            b"\xef\xbbx ",
            b"1.2.3.4, 10.0.0.1 ",
            b"1.2.3.4, 10.0.0.1, ::1 ",
            b"1.2.3.4,10.0.0.1 ",
            b"1.2.3.4, ",
            b", ",
            b", 1.2.3.4 ",
            b",, a ",
            b"unknown, 1.2.3.4 ",
            b"a,  b ",
            b"a,, b ",
            b"[::1] ",
            b"92.118.161.13.example.com ",
            b"pm4_23.digital.net ",
            b"a  ",
            b"www.example.com:80 192.0.2.7 ",
            b"www.example.com ::1 ",
            b"v:80 1.2.3.4, 5.6.7.8 ",
            b"v, 1.2.3.4 ",
            b"\"v\" 1.2.3.4 ",
            b"v\\xc3\\xa9 1.2.3.4 ",
            b"v\xff 1.2.3.4 ",
        ],
    ));
    for len in (1..=70).chain([95, 96, 97, 127, 128, 129, 255]) {
        for byte in [b'a', b'.', 0xe9] {
            let mut parts = Parts::good();
            parts.client = vec![byte; len];
            parts.client.push(b' ');
            lines.push(parts.line());
            parts.ident = std::mem::replace(&mut parts.client, b"::1 ".into());
            lines.push(parts.line());
            parts.user = std::mem::replace(&mut parts.ident, b"- ".into());
            lines.push(parts.line());
            parts.vhost = std::mem::replace(&mut parts.user, b"- ".into());
            lines.push(parts.line());
        }
    }
    let time = "[01/Jan/2000:00:00:00 +0000]";
    let users: Vec<Vec<u8>> = [
        "\"\" ",
        " ",
        "",
        "joe smith ",
        "joe  smith ",
        " joe ",
        "joe  ",
        "[x] ",
        "DOM\\\\user ",
        "DOM\\user ",
        "a\\ ",
        "-x ",
        "- ",
        "-  ",
        " - ",
        "/C=UK/O=Big Org/CN=x ",
        "\\xc3\\xa9 ",
        "\\\"a\\\" ",
        "\"raw\" ",
        "a\" ",
        "[ ",
        " [ ",
        "a [b] ",
        "a,b=c@d ",
        "\t ",
        "[",
        "\u{e9} ",
        "a [19/Dec/2020:13:57:26 +0100] ",
    ]
    .iter()
    .map(|user| user.as_bytes().to_vec())
    .chain([
        format!("{time} ").into_bytes(),
        format!("a {time} \\\"GET ").into_bytes(),
        format!("a {time} \"GET ").into_bytes(),
        format!("a {time}\\\" ").into_bytes(),
        format!("a {time} \\\\\" ").into_bytes(),
        b"\xff ".to_vec(),
    ])
    .collect();
    lines.extend(with(|parts, user| parts.user = user, &users.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    lines.extend(with(
        |parts, ident| parts.ident = ident,
        &[b"", b" ", b"unknown ", b"joe ", b"\"\" ", b"a\\x41 ", b"\xe9 ", b"-- ", b"-", b"\\ "],
    ));
    // Good times between the bad, days and zones in turn, so that no cache stays warm by chance.
    let times = [
        "19/Dec/2020:24:00:00 +0100",
        "19/Dec/2020:23:59:59 +0100",
        "19/Dec/2020:29:00:00 +0100",
        "29/Dec/2020:13:57:26 +0100",
        "09/Dec/2020:13:57:26 +0100",
        "19/Dec/2020:13:60:00 +0100",
        "19/Dec/2020:13:59:59 +0100",
        "19/Dec/2020:13:57:60 +0100",
        "19/Dec/2020:13:59:60 +0100",
        "19/Dec/2020:23:59:60 +0100",
        "31/Dec/2020:23:59:60 -0500",
        "28/Feb/2019:23:59:60 +0000",
        "19/Dec/2020:13:57:61 +0100",
        "19/Dec/2020:13:57:99 +0100",
        "31/Dec/9999:23:59:60 +0000",
        "31/Dec/9999:23:59:59 +0000",
        "31/Dec/9999:23:59:59 -0100",
        "30/Dec/9999:23:59:60 +0000",
        "01/Jan/0000:00:00:00 +0000",
        "01/Jan/0000:00:00:00 +0001",
        "02/Jan/0000:12:00:00 +0100",
        "31/Feb/2020:13:57:26 +0100",
        "29/Feb/1900:13:57:26 +0100",
        "29/Feb/2000:13:57:26 +0100",
        "29/Feb/2020:13:57:26 +0100",
        "30/Apr/2020:13:57:26 +0100",
        "31/Apr/2020:13:57:26 +0100",
        "00/Dec/2020:13:57:26 +0100",
        "32/Dec/2020:13:57:26 +0100",
        "19/dec/2020:13:57:26 +0100",
        "19/DEC/2020:13:57:26 +0100",
        "19/Dez/2020:13:57:26 +0100",
        "19/Dec/2020:13:57:26 -0360",
        "19/Dec/2020:13:57:26 +1800",
        "19/Dec/2020:13:57:26 +1801",
        "19/Dec/2020:13:57:26 -1800",
        "19/Dec/2020:13:57:26 +1900",
        "19/Dec/2020:13:57:26 -0000",
        "19/Dec/2020:13:57:26 -0330",
        "19/Dec/2020:13:57:26 +0545",
        "19/Dec/2020:13:57:26 +1345",
        "19/Dec/2020:13:57:26 00100",
        "19/Dec/2020:13:57:26 0100",
        "19/Dec/2020:13:57:26  0100",
        "19/Dec/2020:13:57:26 +01000",
        "19/Dec/2020:13:57:26 +010",
        "19/Dec/2020:13:57:26",
        "9/Dec/2020:13:57:26 +0100",
        " 9/Dec/2020:13:57:26 +0100",
        "19/Dec/2020:3:57:26 +0100",
        "19/Dec/2020 13:57:26 +0100",
        "19-Dec-2020:13:57:26 +0100",
        "19/Dec/20:13:57:26 +0100",
        "2020-12-19T13:57:26+01:00",
        "19/Dec/2020:13.57:26 +0100",
        "19/Dec/2020:13:57.26 +0100",
        "19/Dec/2020:1\u{a0}:57:26 +0100",
        "1:/Dec/2020:13:57:26 +0100",
        "19/Dec/2020:1::57:26 +0100",
        "19/Dec/2020:13:57:2/ +0100",
        "1000000000",
        "",
        "19/Dec/2020:00:00:00 +0100",
        "19/Dec/2020:00:59:59 +0100",
        "19/Dec/2020:01:00:00 +0100",
    ];
    let good = "19/Dec/2020:13:57:26 +0100";
    let bracketed: Vec<String> =
        times.iter().flat_map(|time| [format!("[{time}] "), format!("[{good}] "), format!("[{time}] ")]).collect();
    lines.extend(with(|parts, time| parts.time = time, &bracketed.iter().map(String::as_bytes).collect::<Vec<_>>()));
    lines.extend(with(
        |parts, time| parts.time = time,
        &[
            b"",
            b"[19/Dec/2020:13:57:26 +0100]",
            b"[19/Dec/2020:13:57:26 +0100]  ",
            b"(19/Dec/2020:13:57:26 +0100] ",
            b"[19/Dec/2020:13:57:26 +0100) ",
            b" [19/Dec/2020:13:57:26 +0100] ",
            b"- [19/Dec/2020:13:57:26 +0100] ",
        ],
    ));
    let requests: Vec<Vec<u8>> = [
        "",
        "-",
        " ",
        "GET",
        "GET ",
        "GET /",
        "GET / ",
        "GET  /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /my file.html HTTP/1.1",
        "GET /my file.html",
        "GET / HTTP/2",
        "GET / HTTP/2.0",
        "GET / HTTP/1.10",
        "GET / HTTP/1.",
        "GET / HTTP/.1",
        "GET / HTTP/",
        "GET / HTTP/11",
        "GET / HTTP/1.1.1",
        "GET / HTTP/a.b",
        "GET / HTTP/1,1",
        "GET / HTTP/:.1",
        "GET / HTTP//.1",
        "GET / HTTP/1.:",
        "GET / HTTP/1./",
        "GET / HTTP/1.a",
        "GET / HTTP/a.1",
        "GET / HTTP-1.1",
        "GET /\tHTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1\\n",
        "GET / FTP/1.1",
        "get / HTTP/1.1",
        "G / HTTP/1.1",
        "OPTIONS * HTTP/1.0",
        "PROPFIND /x HTTP/1.1",
        "ABCDEFGHIJKLMNO / HTTP/1.1",
        "ABCDEFG / HTTP/1.1",
        "M-SEARCH * HTTP/1.1",
        "VERSION-CONTROL /x HTTP/1.1",
        "G(T / HTTP/1.1",
        "G[T / HTTP/1.1",
        "G@T / HTTP/1.1",
        "G`T / HTTP/1.1",
        "GZT / HTTP/1.1",
        "GAT / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "G\tT / HTTP/1.1",
        "G\\xc3T / HTTP/1.1",
        "\\x16\\x03\\x01\\x02",
        "\\x16\\x03\\x01",
        "\\x03",
        "\\x05\\x01",
        "SSH-2.0-OpenSSH_7.4",
        "PRI * HTTP/2.0",
        "EHLO x",
        "CONNECT host:443 HTTP/1.1",
        "GET http://a/b HTTP/1.1",
        "GET @x HTTP/1.1",
        "GET a/b HTTP/1.1",
        "GET /a\\\"b HTTP/1.1",
        "GET /a\\\\ HTTP/1.1",
        "GET /a\\ HTTP/1.1",
        "GET \\\" HTTP/1.1",
        "GET /%22%20 HTTP/1.1",
        "GET /a\"b HTTP/1.1",
        "\"",
        "GET /\u{e9} HTTP/1.1",
        "GET /\\xc3\\xa9 HTTP/1.1",
        "GET /\\xe9 HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /x HTTP/1.1\\",
        "GET / HTTP/1.1\" 200 5 \"",
    ]
    .iter()
    .map(|request| format!("\"{request}\" ").into_bytes())
    .chain([
        b"\"GET /\xe9\xff HTTP/1.1\" ".to_vec(),
        b"\"\x16\x03\x01\" ".to_vec(),
        b"GET / HTTP/1.1 ".to_vec(),
        b"\"GET / HTTP/1.1\"".to_vec(),
        b"\"GET / HTTP/1.1\"  ".to_vec(),
        b"\"GET / HTTP/1.1 ".to_vec(),
    ])
    .collect();
    lines.extend(with(
        |parts, request| parts.request = request,
        &requests.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    ));
    let numbers: &[&[u8]] = &[
        b"-",
        b"--",
        b"-1",
        b"0",
        b"00",
        b"000",
        b"099",
        b"0012",
        b"200",
        b"20",
        b"2",
        b"999",
        b"1000",
        b"2x0",
        b"12k",
        b"1:2",
        b"1/2",
        b"2:0",
        b"20:",
        b"20/",
        b":00",
        b"/00",
        b"1.5",
        b"1,5",
        b":",
        b"/",
        b"",
        b" ",
        b"+1",
        b"\xb1",
        b"2\xb00",
        b"1\xb9",
        b"1234567",
        b"12345678",
        b"123456789",
        b"123456789012345",
        b"1234567890123456",
        b"123456789012345678",
        b"1234567890123456789",
        b"9223372036854775807",
        b"9223372036854775808",
        b"99999999999999999999",
        b"000000000000000000000000000007",
        b"1234567:",
        b"12345678:",
        b"\"5\"",
        b"5\t",
        b"1234567\xb0",
        b"0-",
        b"-0",
        b"5-",
    ];
    for space in [&b" "[..], b"  ", b""] {
        let spaced: Vec<Vec<u8>> = numbers.iter().map(|number| [number, space].concat()).collect();
        lines
            .extend(with(|parts, status| parts.status = status, &spaced.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    }
    for number in numbers {
        for cut in [false, true] {
            let mut parts = Parts::good();
            parts.bytes = number.to_vec();
            if cut {
                parts.referrer.clear();
                parts.agent.clear();
            }
            for tail in [&b""[..], b" ", b" 12 34", b"x"] {
                parts.tail = tail.to_vec();
                lines.push(parts.line());
            }
        }
    }
    for inside in INSIDES {
        for (before, after) in [("", ""), ("abc", ""), ("", "xyz"), ("0123456789012345678901234567890", "z")] {
            let field = [before.as_bytes(), inside, after.as_bytes()].concat();
            let mut parts = Parts::good();
            parts.referrer = [b" \"", &field[..], b"\""].concat();
            lines.push(parts.line());
            parts.agent = std::mem::replace(&mut parts.referrer, b" \"-\"".into());
            lines.push(parts.line());
            parts = Parts::good();
            parts.request = [b"\"GET /", &field[..], b" HTTP/1.1\" "].concat();
            lines.push(parts.line());
            parts.request = [b"\"", &field[..], b"\" "].concat();
            lines.push(parts.line());
            parts = Parts::good();
            parts.user = [&field[..], b" "].concat();
            lines.push(parts.line());
        }
    }
    lines.extend(with(
        |parts, between| parts.referrer = between,
        &[b"", b" ", b" -", b" 123 \"-\"", b"\"-\"", b"  \"-\"", b" \"-", b" '-'", b" \"-\"x", b" \"a\" \"b\""],
    ));
    lines.extend(with(
        |parts, agent| parts.agent = agent,
        &[b"", b" ", b" -", b" \"", b" \"a", b" \"a\\\"", b"  \"a\"", b"\"a\""],
    ));
    for tail in TAILS {
        let mut parts = Parts::good();
        parts.tail = tail.to_vec();
        lines.push(parts.line());
        parts.tail = [b" 12 34", *tail].concat();
        lines.push(parts.line());
        parts.referrer.clear();
        parts.agent.clear();
        parts.tail = tail.to_vec();
        lines.push(parts.line());
    }
    for len in (0..140).chain(990..=1100).chain([5_000]) {
        for fill in [&b"a"[..], b"\xc3\xa9", b"\\\""] {
            let field = fill.repeat(len);
            let mut parts = Parts::good();
            parts.request = [b"\"GET ", &field[..], b" HTTP/1.1\" "].concat();
            lines.push(parts.line());
            parts = Parts::good();
            parts.referrer = [b" \"", &field[..], b"\""].concat();
            lines.push(parts.line());
            parts.agent = std::mem::replace(&mut parts.referrer, b" \"-\"".into());
            lines.push(parts.line());
            parts.tail = [b" ", &field[..]].concat();
            lines.push(parts.line());
        }
    }
    for fill in [&b"\x01"[..], b"\xff", b"u", b"\\x01"] {
        let mut parts = Parts::good();
        parts.agent = [b" \"", &fill.repeat(100_000)[..], b"\""].concat();
        lines.push(parts.line());
    }
    for (vhost, tail) in [("", ""), ("www.example.com:80 ", ""), ("", " 123 4567"), ("", " \"-\"")] {
        let mut parts = Parts::good();
        parts.vhost = vhost.into();
        parts.tail = tail.into();
        let line = parts.line();
        lines.extend((0..=line.len()).map(|end| line[..end].to_vec()));
    }
    lines.extend(
        [
            &b"\0"[..], b"\0\0\0", b"\xef\xbb\xbf", b"\r", b"\r\r", b" ", b"   ", b"\t", b"\"", b"\\", b"[", b"{}", b"{\"a\": \"b\"}",
            b"[Fri Sep 09 10:42:29 2011] [error] [client 10.1.2.3] message, referer: \"x\"",
            b"[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 4328636416] [client 72.15.99.187:1234] AH00035: \"m\"",
            b"AH00558: httpd: Could not reliably determine", b"\x1f\x8b\x08\x00", b"- - - [19/Dec/2020:13:57:26 +0100] \"\" - -",
            b"- - - [19/Dec/2020:13:57:26 +0100] \"-\" 408 - \"-\" \"-\"", b"a b c [19/Dec/2020:13:57:26 +0100] \"-\" 408 - \"-\" \"-\" 0 0",
            b"1.2.3.4 -  -  [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\" ", // Jetty
            b"1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/3.0\" 000 0 \"-\" \"\\x22a\\x5C\"", // nginx
            b"1.2.3.4 - - [19/Dec/2020 13:57:26] \"GET / HTTP/1.1\" 200 -", // python -m http.server
        ]
        .map(<[u8]>::to_vec),
    );
    lines.into_iter()
}
