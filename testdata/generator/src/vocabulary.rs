//! The tables a log is drawn from, made once per generator out of `words.rs` and the seed.
//!
//! Clients and pages are ranked: how often each comes follows Zipf's law. A client keeps its agent for most of its
//! lines, a page keeps its size, as in real logs: so files compress about as real ones do.

use crate::options::Options;
use crate::rng::{Rng, Weighted};
use crate::words::{self, AgentFamily, AgentKind, PageKind};

#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) agents: Vec<Agent>,
    pub(crate) v4: Population,
    pub(crate) v6: Population,
    pub(crate) hostnames: Population,
    pub(crate) pages: Vec<Page>,
    pub(crate) page_choice: Weighted,
    /// Indices of the pages that link to others, ranked like them.
    pub(crate) linking_pages: Vec<u32>,
    pub(crate) linking_choice: Weighted,
    pub(crate) agent_choice: Weighted,
    pub(crate) vhosts: Weighted,
    pub(crate) methods: Weighted,
    pub(crate) protocols: Weighted,
    pub(crate) statuses: Weighted,
    pub(crate) queries: Weighted,
    pub(crate) referrers: Weighted,
    pub(crate) extras: Weighted,
    pub(crate) hostile: Weighted,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) text: String,
    pub(crate) kind: AgentKind,
}

/// Clients of one sort, the most frequent first.
#[derive(Debug)]
pub(crate) struct Population {
    clients: Vec<Client>,
    choice: Weighted,
}

#[derive(Debug)]
pub(crate) struct Client {
    /// `%h`
    pub(crate) host: String,
    /// Index of the agent it mostly uses.
    pub(crate) agent: u32,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) target: String,
    pub(crate) kind: PageKind,
    pub(crate) bytes: u64,
    /// Whether a query string may be put after it.
    pub(crate) takes_query: bool,
}

impl Vocabulary {
    pub(crate) fn new(options: &Options, rng: &mut Rng) -> Self {
        let (agents, agent_choice) = agents();
        let some = (options.clients / 8).max(1);
        let population = |rng: &mut Rng, count: u32, host: fn(&mut Rng, u32) -> String| Population {
            clients: (0..count)
                .map(|rank| Client { host: host(rng, rank), agent: agent_choice.pick(rng) as u32 })
                .collect(),
            choice: Weighted::zipf(count as usize, 5),
        };
        let v4 = population(rng, options.clients, |rng, _| v4_address(rng));
        let v6 = population(rng, some, v6_address);
        let hostnames = population(rng, some, hostname);
        let pages = pages(rng, options.pages);
        let linking_pages: Vec<u32> =
            (0..).zip(&pages).filter(|(_, page)| page.kind == PageKind::Text).map(|(index, _)| index).collect();
        Self {
            agents,
            v4,
            v6,
            hostnames,
            linking_choice: Weighted::zipf(linking_pages.len(), 2),
            linking_pages,
            pages,
            page_choice: Weighted::zipf(options.pages as usize, 2),
            agent_choice,
            vhosts: Weighted::new(words::VHOSTS.iter().map(|vhost| vhost.0)),
            methods: Weighted::new(words::METHODS.iter().map(|method| method.0)),
            protocols: Weighted::new(words::PROTOCOLS.iter().map(|protocol| protocol.0)),
            statuses: Weighted::new(words::STATUSES.iter().map(|status| status.0)),
            queries: Weighted::new(words::QUERIES.iter().map(|query| query.0)),
            referrers: Weighted::new(words::REFERRERS.iter().map(|referrer| referrer.0)),
            extras: Weighted::new(words::EXTRAS.iter().map(|extra| extra.0)),
            hostile: Weighted::new(words::HOSTILE.iter().map(|hostile| hostile.weight)),
        }
    }
}

impl Population {
    #[inline]
    pub(crate) fn pick(&self, rng: &mut Rng) -> &Client {
        &self.clients[self.choice.pick(rng)]
    }
}

/// Every version of every family, newer ones more often.
fn agents() -> (Vec<Agent>, Weighted) {
    let mut agents = Vec::new();
    let mut weights = Vec::new();
    for &AgentFamily { weight, kind, template, versions: (first, last) } in words::AGENTS {
        let shares = (first..=last).map(|version| 1_000 / u64::from(last - version + 1));
        let all: u64 = shares.clone().sum();
        for (version, share) in (first..=last).zip(shares) {
            agents.push(Agent { text: template.replace("{}", &version.to_string()), kind });
            weights.push((u64::from(weight) * 1_000 * share / all) as u32);
        }
    }
    (agents, Weighted::new(weights))
}

/// Any address outside of the networks 0, 10, 127 and from 224; whoever it may belong to was not here.
pub(crate) fn v4_address(rng: &mut Rng) -> String {
    let first = loop {
        let first = rng.between(1, 223);
        if first != 10 && first != 127 {
            break first;
        }
    };
    let [_, b, c, d, ..] = rng.next_u64().to_le_bytes();
    format!("{first}.{b}.{c}.{d}")
}

/// From the documentation prefix, written as inet_ntop writes it (no group is 0 unless compressed).
fn v6_address(rng: &mut Rng, rank: u32) -> String {
    let mut group = || rng.between(1, 0xffff);
    match rank {
        3 => "::1".into(),
        7 => "fe80::1%eth0".into(),
        _ => match group() % 8 {
            0 => format!("fe80::{:x}:{:x}:{:x}:{:x}%eth0", group(), group(), group(), group()),
            1 | 2 => format!("2001:db8:{:x}::{:x}", group(), group()),
            3 => format!("2001:db8:{:x}:{:x}::{:x}", group(), group(), group()),
            _ => {
                let groups: Vec<String> = (0..6).map(|_| format!("{:x}", group())).collect();
                format!("2001:db8:{}", groups.join(":"))
            }
        },
    }
}

fn hostname(rng: &mut Rng, rank: u32) -> String {
    let address = v4_address(rng);
    let dashed = address.replace('.', "-");
    let word = rng.pick(words::PAGE_WORDS);
    match rng.below(8) {
        0 => format!("pm{rank}_{}.digital.example.net", rng.below(64)),
        1 => format!("{address}.example.com"),
        2 => format!("crawl-{dashed}.bot.example.net"),
        3 => format!("dsl_{word}_{rank}.pool.example.org"),
        4 => format!("{}.Dial-Up.EXAMPLE.org", word.to_uppercase()),
        5 => format!("{word}{rank}"),
        6 => format!("ip{dashed}.{word}-cable.example.net"),
        _ => format!("{word}.lab.example.edu"),
    }
}

fn pages(rng: &mut Rng, count: u32) -> Vec<Page> {
    let shapes = Weighted::new(words::PAGE_SHAPES.iter().map(|shape| shape.0));
    let mut downloads = words::DOWNLOADS.iter();
    (0..count)
        .map(|rank| {
            // Large files are known, but not the most visited: together about one line in 300.
            if rank % 100 == 99
                && let Some(&(target, bytes)) = downloads.next()
            {
                let kind = PageKind::Download;
                return Page { target: target.into(), kind, bytes, takes_query: false };
            }
            let (target, kind) = match words::TOP_PAGES.get(rank as usize) {
                Some(&(target, kind)) => (target.to_owned(), kind),
                None => {
                    let (_, shape, kind) = words::PAGE_SHAPES[shapes.pick(rng)];
                    let mut target = Vec::new();
                    push_shape(rng, shape, u64::from(rank), &mut target);
                    (String::from_utf8(target).expect("shapes and words are text"), kind)
                }
            };
            let bytes = match kind {
                PageKind::Text => rng.long_tailed(13 * 16 + 8, 22),
                PageKind::Asset => rng.long_tailed(14 * 16, 28),
                PageKind::Image => rng.long_tailed(15 * 16 + 8, 30),
                PageKind::Small | PageKind::Download => rng.long_tailed(8 * 16, 24),
                PageKind::Empty => 0,
            };
            let takes_query = matches!(kind, PageKind::Text | PageKind::Small) && !target.contains('?');
            Page { target, kind, bytes, takes_query }
        })
        .collect()
}

/// Writes a shape out of `words.rs`: `{w}` becomes a word, `{n}` the number.
pub(crate) fn push_shape(rng: &mut Rng, shape: &str, number: u64, out: &mut Vec<u8>) {
    let mut rest = shape.as_bytes();
    while let Some(at) = rest.windows(3).position(|three| three == b"{w}" || three == b"{n}") {
        out.extend_from_slice(&rest[..at]);
        if rest[at + 1] == b'w' {
            out.extend_from_slice(rng.pick(words::PAGE_WORDS).as_bytes());
        } else {
            push_number(number, out);
        }
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
}

/// Writes a number in decimal digits.
#[inline]
pub(crate) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn pages_and_clients_are_many_and_different() {
        let vocabulary = Vocabulary::new(&Options::default(), &mut Rng::new(1));
        let targets: HashSet<&str> = vocabulary.pages.iter().map(|page| page.target.as_str()).collect();
        assert_eq!(targets.len(), 3_000);
        let clients: HashSet<&str> = vocabulary.v4.clients.iter().map(|client| client.host.as_str()).collect();
        assert!(clients.len() > 4_990, "{}", clients.len());
        assert!(vocabulary.agents.len() > 300, "{}", vocabulary.agents.len());
        assert!(vocabulary.v6.clients.iter().any(|client| client.host == "fe80::1%eth0"));
        assert!(vocabulary.hostnames.clients.iter().any(|client| client.host.contains('_')));
        for client in vocabulary.v6.clients.iter().filter(|client| !client.host.contains('%')) {
            let address: std::net::Ipv6Addr = client.host.parse().unwrap();
            assert_eq!(address.to_string(), client.host, "as inet_ntop writes it");
        }
    }

    #[test]
    fn shapes_and_numbers_are_written_out() {
        let mut out = Vec::new();
        push_shape(&mut Rng::new(1), "/{n}/a{b}/{n}", 18_446_744_073_709_551_615, &mut out);
        assert_eq!(out, b"/18446744073709551615/a{b}/18446744073709551615");
        out.clear();
        push_number(0, &mut out);
        assert_eq!(out, b"0");
    }
}
