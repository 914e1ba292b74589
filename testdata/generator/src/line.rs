//! One good line: client, user, time, request, status, bytes, referrer, agent, in the order of the format.
//!
//! Fields are appended as they stand in the log. What was decided on the way and what only the writer knows (the
//! true status, the true time in UTC, where a cut makes the line malformed) is given back as [`Facts`].

use crate::clock::Clock;
use crate::options::{Format, Options};
use crate::rng::{Rng, SHARE_ALL};
use crate::vocabulary::{Client, Page, Vocabulary, push_number, push_shape, v4_address};
use crate::words::{self, AgentKind, PageKind};

/// What is true of a line just written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) status: u16,
    /// The number that stands as bytes; none where that is `-`.
    pub(crate) bytes: Option<u64>,
    /// When the request began, in seconds since 1970.
    pub(crate) utc_s: i64,
    /// A line cut anywhere from its first byte to here, this place included, is malformed in its own format.
    /// Counted from the start of the buffer.
    pub(crate) cut_last: usize,
}

/// What is asked and answered between method and bytes.
struct Exchange {
    status: u16,
    /// Bytes of the body; none when no body was sent.
    body_bytes: Option<u64>,
    /// Whether the server came to read the headers; else referrer and agent are `-`.
    headers: bool,
}

/// Text put into one of the fields that clients fill freely.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Target,
    Referrer,
    Agent,
}

pub(crate) struct LineWriter<'a> {
    pub(crate) options: &'a Options,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) clock: &'a mut Clock,
    pub(crate) rng: &'a mut Rng,
}

impl<'a> LineWriter<'a> {
    /// Appends a line without its line end.
    pub(crate) fn write(&mut self, elapsed_s: u64, out: &mut Vec<u8>) -> Facts {
        let Self { options, vocabulary, .. } = *self;
        let format = options.format;

        vhost(format, vocabulary, self.rng, out);
        let client = self.client(out);
        let agent_index = if self.rng.chance(SHARE_ALL / 10) {
            vocabulary.agent_choice.pick(self.rng) // several people behind one address
        } else {
            client.agent as usize
        };
        let agent = &vocabulary.agents[agent_index];
        self.ident_and_user(out);

        let standard_s = self.clock.moment(self.rng, elapsed_s);
        self.clock.write(standard_s, out);

        let inserts = self.inserts();
        out.extend_from_slice(b" \"");
        let exchange = if self.rng.chance(options.share_hostile) {
            self.hostile_request(out)
        } else {
            let exchange = self.request(out, &inserts);
            self.protocol(out);
            exchange
        };
        out.extend_from_slice(b"\" ");

        let mut cut_last = out.len();
        push_number(u64::from(exchange.status), out);
        out.push(b' ');
        let head_bytes = if exchange.headers || exchange.status == 400 {
            self.rng.between(180, 560)
        } else {
            0 // timed out: nothing was answered
        };
        let sent_bytes = exchange.body_bytes.unwrap_or(0) + head_bytes;
        let bytes = if format == Format::VhostCombined { Some(sent_bytes) } else { exchange.body_bytes };
        match bytes {
            Some(bytes) => push_number(bytes, out),
            None => out.push(b'-'),
        }
        if format.has_agent() {
            out.extend_from_slice(b" \"");
            let field_at = out.len();
            if exchange.headers {
                self.referrer(agent.kind, out);
                self.insert(&inserts, Field::Referrer, field_at, out);
            } else {
                out.push(b'-');
            }
            cut_last = out.len();
            out.extend_from_slice(b"\" \"");
            let field_at = out.len();
            if exchange.headers {
                out.extend_from_slice(agent.text.as_bytes());
                self.insert(&inserts, Field::Agent, field_at, out);
            } else {
                out.push(b'-');
            }
            out.push(b'"');
        }
        if format == Format::Combinedio {
            let received_bytes = match exchange.headers {
                true => self.rng.between(120, 1_400),
                false => head_bytes / 4, // 0 with 0: a request that timed out
            };
            out.push(b' ');
            push_number(received_bytes, out);
            out.push(b' ');
            push_number(sent_bytes, out);
        }
        if self.rng.chance(options.share_extra) {
            let (_, extra) = words::EXTRAS[vocabulary.extras.pick(self.rng)];
            let number = self.rng.long_tailed(14 * 16, 40);
            push_shape(self.rng, extra, number, out);
        }
        Facts { status: exchange.status, bytes, utc_s: self.clock.utc_s(standard_s), cut_last }
    }

    /// `%h`, or a list of addresses with a comma and a blank between them.
    fn client(&mut self, out: &mut Vec<u8>) -> &'a Client {
        let Self { options, vocabulary, .. } = *self;
        let ipv6_end = u64::from(options.share_ipv6);
        let hostnames_end = ipv6_end + u64::from(options.share_hostnames);
        let forwarded_end = hostnames_end + u64::from(options.share_forwarded);
        let sort = self.rng.below(u64::from(SHARE_ALL));
        let population = if sort < ipv6_end {
            &vocabulary.v6
        } else if sort < hostnames_end {
            &vocabulary.hostnames
        } else {
            &vocabulary.v4
        };
        let client = population.pick(self.rng);
        out.extend_from_slice(client.host.as_bytes());
        if (hostnames_end..forwarded_end).contains(&sort) {
            for _ in 0..self.rng.between(1, 3) {
                out.extend_from_slice(b", ");
                match self.rng.below(6) {
                    0 => out.extend_from_slice(b"2001:db8::7:1"),
                    1 => out.extend_from_slice(b"unknown"),
                    2 => out.extend_from_slice(v4_address(self.rng).as_bytes()),
                    last => {
                        out.extend_from_slice(b"10.0.0.");
                        push_number(last, out);
                    }
                }
            }
        }
        client
    }

    /// ` %l %u `, with the blanks around.
    fn ident_and_user(&mut self, out: &mut Vec<u8>) {
        if !self.rng.chance(self.options.share_users) {
            out.extend_from_slice(b" - - ");
            return;
        }
        let bits = self.rng.next_u64();
        out.push(b' ');
        let ident = if bits.is_multiple_of(16) { self.rng.pick(words::IDENTS) } else { "-" };
        out.extend_from_slice(ident.as_bytes());
        out.push(b' ');
        let users = if bits >> 32 < u64::from(u32::MAX / 6) { words::ODD_USERS } else { words::USERS };
        out.extend_from_slice(self.rng.pick(users).as_bytes());
        out.push(b' ');
    }

    /// Method and target of a request that is understood, and its answer.
    fn request(&mut self, out: &mut Vec<u8>, inserts: &Inserts) -> Exchange {
        let vocabulary = self.vocabulary;
        let page = &vocabulary.pages[vocabulary.page_choice.pick(self.rng)];
        let (_, status) = words::STATUSES[vocabulary.statuses.pick(self.rng)];
        let (_, mut method) = words::METHODS[vocabulary.methods.pick(self.rng)];
        if !matches!(page.kind, PageKind::Text | PageKind::Small) && method != "HEAD" {
            method = "GET"; // nobody posts to a picture
        }
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        let target_at = out.len();
        self.target(status, page, out);
        self.insert(inserts, Field::Target, target_at, out);

        let page_bytes = match page.kind {
            PageKind::Text => page.bytes + (self.rng.next_u64() & 0xff), // written anew each time
            _ => page.bytes,
        };
        let body_bytes = match status {
            _ if method == "HEAD" => None,
            204 | 304 | 408 => None,
            200 | 201 => (page_bytes > 0).then_some(page_bytes), // an empty file is `-`, too
            206 => Some(1 + self.rng.below(page_bytes.max(1))),
            300..400 => Some(220 + page.target.len() as u64),
            _ => Some(196 + u64::from(status) % 97),
        };
        Exchange { status, body_bytes, headers: status != 408 }
    }

    fn target(&mut self, status: u16, page: &Page, out: &mut Vec<u8>) {
        let bits = self.rng.next_u64();
        if matches!(status, 403 | 404) && bits % 8 < 5 {
            out.extend_from_slice(self.rng.pick(words::PROBES).as_bytes());
            return;
        }
        out.extend_from_slice(page.target.as_bytes());
        if status == 404 {
            out.extend_from_slice(b".bak");
        } else if page.takes_query && (bits >> 8) % 16 < 3 {
            let (_, query) = words::QUERIES[self.vocabulary.queries.pick(self.rng)];
            push_shape(self.rng, query, (bits >> 16) % 5_000, out);
        }
    }

    fn protocol(&mut self, out: &mut Vec<u8>) {
        let (_, protocol) = words::PROTOCOLS[self.vocabulary.protocols.pick(self.rng)];
        out.push(b' ');
        out.extend_from_slice(protocol.as_bytes());
    }

    fn hostile_request(&mut self, out: &mut Vec<u8>) -> Exchange {
        let hostile = &words::HOSTILE[self.vocabulary.hostile.pick(self.rng)];
        match hostile.request.split_once("{x}") {
            None => out.extend_from_slice(hostile.request.as_bytes()),
            Some((before, after)) => {
                out.extend_from_slice(before.as_bytes());
                for _ in 0..self.rng.between(1, 60) {
                    push_escaped(self.rng.between(1, 255) as u8, out);
                }
                out.extend_from_slice(after.as_bytes());
            }
        }
        Exchange { status: hostile.status, body_bytes: hostile.body_bytes, headers: hostile.headers }
    }

    fn referrer(&mut self, kind: AgentKind, out: &mut Vec<u8>) {
        // Of 16: how many come from inside, how many from elsewhere; the others do not tell.
        let (inside, elsewhere) = match kind {
            AgentKind::Browser => (5, 2),
            AgentKind::Bot => (0, 0),
            AgentKind::Tool => (0, 1),
        };
        let bits = self.rng.next_u64();
        let from = bits % 16;
        if from < inside {
            let vocabulary = self.vocabulary;
            let index = vocabulary.linking_pages[vocabulary.linking_choice.pick(self.rng)];
            let page = &vocabulary.pages[index as usize];
            out.extend_from_slice(b"https://www.example.com");
            out.extend_from_slice(page.target.as_bytes());
        } else if from < inside + elsewhere {
            let (_, referrer) = words::REFERRERS[self.vocabulary.referrers.pick(self.rng)];
            push_shape(self.rng, referrer, (bits >> 16) % 1_000_000, out);
        } else {
            out.push(b'-');
        }
    }

    /// Decides what unusual text this line has, and in which field.
    fn inserts(&mut self) -> Inserts {
        let options = self.options;
        let fields: &[Field] = match options.format.has_agent() {
            true => &[Field::Target, Field::Referrer, Field::Agent],
            false => &[Field::Target],
        };
        let mut inserts = [None; 4];
        if self.rng.chance(options.share_escapes) {
            let text = self.rng.pick(words::ESCAPES).as_bytes();
            inserts[0] = Some((self.rng.pick(fields), Insert::Text(text)));
        }
        if self.rng.chance(options.share_utf8) {
            let text = self.rng.pick(words::UTF8).as_bytes();
            inserts[1] = Some((self.rng.pick(fields), Insert::Text(text)));
        }
        if self.rng.chance(options.share_invalid_utf8) {
            let text = self.rng.pick(words::INVALID_UTF8);
            inserts[2] = Some((self.rng.pick(fields), Insert::Text(text)));
        }
        if self.rng.chance(options.share_long) {
            // Most are near the short end: the larger of two would be the other way round.
            let longest = u64::from(options.long_bytes_max);
            let bytes = self.rng.between(8_000, longest).min(self.rng.between(8_000, longest));
            inserts[3] = Some((self.rng.pick(fields), Insert::Long(bytes as usize)));
        }
        inserts
    }

    /// Puts those inserts that are for this field somewhere into it. The field is `out[field_at..]`.
    fn insert(&mut self, inserts: &Inserts, field: Field, field_at: usize, out: &mut Vec<u8>) {
        for &(for_field, insert) in inserts.iter().flatten() {
            if for_field != field {
                continue;
            }
            if out[field_at..] == *b"-" {
                out.truncate(field_at); // there is a header after all
            }
            // Not into an escape or a UTF-8 sequence that is there already: before or after it all.
            let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'\\';
            let at = match out[field_at..].iter().all(is_plain) {
                true => self.rng.between(field_at as u64, out.len() as u64) as usize,
                false => out.len(),
            };
            match insert {
                Insert::Text(text) => drop(out.splice(at..at, text.iter().copied())),
                Insert::Long(bytes) => {
                    let text: Vec<u8> = self.long_text(bytes);
                    drop(out.splice(at..at, text));
                }
            }
        }
    }

    /// Words, and in every other case escapes between them, as many bytes as asked.
    #[cold]
    fn long_text(&mut self, bytes: usize) -> Vec<u8> {
        let between: &[u8] = if self.rng.chance(SHARE_ALL / 2) { b"+" } else { b"\\xc3\\xa9" };
        let mut text = Vec::with_capacity(bytes);
        while text.len() < bytes {
            text.extend_from_slice(self.rng.pick(words::PAGE_WORDS).as_bytes());
            text.extend_from_slice(between);
        }
        text
    }
}

type Inserts = [Option<(Field, Insert)>; 4];

#[derive(Clone, Copy)]
enum Insert {
    Text(&'static [u8]),
    Long(usize),
}

/// `%v:%p ` or `%v `, or nothing, as the format has it.
pub(crate) fn vhost(format: Format, vocabulary: &Vocabulary, rng: &mut Rng, out: &mut Vec<u8>) {
    if !format.has_vhost() {
        return;
    }
    let (_, name, port) = words::VHOSTS[vocabulary.vhosts.pick(rng)];
    out.extend_from_slice(name.as_bytes());
    if format == Format::VhostCombined {
        out.push(b':');
        out.extend_from_slice(port.as_bytes());
    }
    out.push(b' ');
}

/// Writes a byte as httpd's `ap_escape_logitem` does.
pub(crate) fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0b => out.extend_from_slice(b"\\v"),
        b'\r' => out.extend_from_slice(b"\\r"),
        0x20..0x7f => out.push(byte),
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(&[b'\\', b'x', digits[0], digits[1]]);
        }
    }
}
