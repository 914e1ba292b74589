//! Object stores that do harm, from a script: each fault, and what becomes of the object.
#![cfg(feature = "aws")]

#[allow(dead_code)] // other test programs use other parts of it
#[path = "support/web_server.rs"]
mod web_server;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use loghaul::stores::failure::{Failure, Kind};
use loghaul::stores::{Location, Object, Options, Stores};
use web_server::{Answer, Request, WebServer};

const ETAG: &str = "\"e1\"";

/// Bytes that differ everywhere.
fn content(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..bytes).map(|_| random.u8(..)).collect()
}

/// What a store answers that is well.
fn well(content: &[u8], request: &Request) -> Answer {
    let answer = |status: u16, body: &[u8]| {
        Answer::of(status, body).header("etag", ETAG).header("last-modified", "Fri, 01 Mar 2024 12:00:00 GMT")
    };
    let if_match = request.header("if-match");
    if !if_match.is_empty() && if_match != ETAG {
        return Answer::of(412, "<Error><Code>PreconditionFailed</Code></Error>");
    }
    match request.range() {
        Some((first, last)) => answer(206, &content[first..=last])
            .header("content-range", format!("bytes {first}-{last}/{}", content.len())),
        None => answer(200, content),
    }
}

fn refusal(status: u16, code: &str) -> Answer {
    Answer::of(status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

fn stores(server: &WebServer) -> Stores {
    let options = Options { endpoint_url: Some(server.url.clone()), sign: false, ..Options::default() };
    Stores::new(options, Arc::new(|| false)).unwrap()
}

fn at(word: &str) -> Location {
    Location::of(word).unwrap().unwrap()
}

fn read_all(object: &Object, start: u64) -> Result<Vec<u8>, Failure> {
    let (mut reading, mut all, mut buffer) = (object.read_from(start), Vec::new(), vec![0; 100_000]);
    loop {
        match reading.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Failure::of(&error).expect("it is of a store").clone()),
        }
    }
}

/// Reads an object of `bytes` bytes from a store that does `harm` to the answers of GET, by the number of the request.
fn read_harmed(
    bytes: usize,
    harm: impl Fn(usize, &Request, Answer) -> Answer + Send + Sync + 'static,
) -> (Result<Vec<u8>, Failure>, Vec<Request>) {
    let whole = content(bytes);
    let served = whole.clone();
    let server = WebServer::start(move |number, request| {
        let answer = well(&served, request);
        if request.method == "GET" { harm(number - 1, request, answer) } else { answer }
    });
    let stores = stores(&server);
    let object = stores.look(&at("s3://b/a/k.log")).unwrap();
    assert_eq!((object.bytes(), object.tag().as_str()), (bytes as u64, ETAG));
    let read = read_all(&object, 0);
    if let Ok(read) = &read {
        assert!(*read == whole, "{} bytes of {}", read.len(), whole.len());
    }
    let mut seen = server.seen();
    seen.remove(0);
    (read, seen)
}

#[test]
fn small_objects_take_one_request_and_large_ones_many_parts() {
    let (read, seen) = read_harmed(100_000, |_, _, answer| answer);
    assert!(read.is_ok());
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].header("range"), seen[0].header("if-match")), ("", ETAG));
    assert_eq!(seen[0].target, "/b/a/k.log");
    let (read, seen) = read_harmed(31_000_000, |_, _, answer| answer);
    assert!(read.is_ok());
    assert!(seen.len() >= 8 && seen.iter().all(|request| request.header("if-match") == ETAG), "{seen:?}");
}

#[test]
fn what_is_cut_goes_on_where_it_was_cut() {
    for bytes in [700_000, 9_000_000] {
        let (read, seen) = read_harmed(bytes, |number, _, answer| match number % 3 {
            0 => Answer { cut_after: Some(answer.body.len() / 2), ..answer },
            1 => Answer { cut_after: Some(1), ..answer },
            _ => answer,
        });
        assert!(read.is_ok(), "{read:?}");
        assert!(seen.len() > 2);
    }
}

#[test]
fn many_cuts_in_a_row_end_no_download_as_long_as_some_comes_through() {
    let (read, seen) = read_harmed(1_000_000, |_, _, answer| Answer { cut_after: Some(40_000), ..answer });
    assert!(read.is_ok(), "{read:?}");
    assert!(seen.len() >= 25, "{}", seen.len());
}

#[test]
fn busy_stores_are_asked_again() {
    for (status, code) in [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests"), (400, "RequestTimeout")]
    {
        let (read, seen) =
            read_harmed(10_000, move |number, _, answer| if number < 2 { refusal(status, code) } else { answer });
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(seen.len(), 3);
    }
}

#[test]
fn a_store_that_stays_busy_is_told_of() {
    let (read, seen) = read_harmed(10_000, |_, _, _| refusal(503, "SlowDown"));
    let why = read.unwrap_err().why;
    assert!(why.starts_with("tried 10 times in ") && why.contains("503 SlowDown"), "{why}");
    assert_eq!(seen.len(), 10);
}

#[test]
fn an_answer_that_takes_its_time_is_waited_for() {
    let pause = Duration::from_millis(700);
    let (read, _) = read_harmed(10_000, move |_, _, answer| Answer { pause, ..answer });
    assert!(read.is_ok());
}

#[test]
fn what_changes_under_the_read_fails() {
    let other = |answer: Answer| {
        let mut answer = answer;
        answer.headers.retain(|(name, _)| *name != "etag");
        answer.header("etag", "\"e2\"")
    };
    let (read, _) = read_harmed(500_000, |number, _, answer| match number {
        0 => Answer { cut_after: Some(200_000), ..answer },
        _ => refusal(412, "PreconditionFailed"),
    });
    let failure = read.unwrap_err();
    assert_eq!((failure.kind, failure.why.contains("its ETag is another")), (Kind::Changed, true), "{failure:?}");
    // A store that does not heed If-Match.
    let (read, _) = read_harmed(500_000, move |number, _, answer| match number {
        0 => Answer { cut_after: Some(200_000), ..answer },
        _ => other(answer),
    });
    assert_eq!(read.unwrap_err().kind, Kind::Changed);
    let (read, _) = read_harmed(500_000, |number, _, answer| match number {
        0 => Answer { cut_after: Some(200_000), ..answer },
        _ => refusal(416, "InvalidRange"),
    });
    assert!(read.unwrap_err().why.contains("it is shorter now"));
}

#[test]
fn an_answer_of_another_length_is_not_believed() {
    let (read, _) = read_harmed(50_000, |_, _, answer| Answer { body: answer.body[..40_000].to_vec(), ..answer });
    assert!(read.unwrap_err().why.contains("it has 40000 bytes, and had 50000"));
    let (read, seen) = read_harmed(50_000, |number, _, answer| match number {
        0 => Answer { says_bytes: Some(50_000), body: answer.body[..40_000].to_vec(), ..answer },
        _ => answer,
    });
    assert!(read.is_ok(), "{read:?}");
    assert_eq!(seen[1].header("range"), "bytes=40000-49999");
}

#[test]
fn archived_and_gone() {
    let (read, _) = read_harmed(10_000, |_, _, _| refusal(403, "InvalidObjectState"));
    assert_eq!(read.unwrap_err().kind, Kind::Archived);
    let (read, _) = read_harmed(10_000, |_, _, _| refusal(404, "NoSuchKey"));
    assert_eq!(read.unwrap_err().kind, Kind::Gone);
}

#[test]
fn from_a_place_in_the_middle() {
    let whole = content(6_000_000);
    let served = whole.clone();
    let server = WebServer::start(move |_, request| well(&served, request));
    let stores = stores(&server);
    let object = stores.look(&at("s3://b/k")).unwrap();
    for start in [1, 1_000_000, 5_999_999, 6_000_000] {
        assert!(read_all(&object, start).unwrap() == whole[start as usize..], "{start}");
    }
    assert!(object.first_bytes(1_000).unwrap() == whole[..1_000]);
    assert!(read_all(&object, 0).unwrap() == whole, "the first bytes are there once");
}

fn page(keys: &[&str], next: Option<&str>) -> Answer {
    let mut xml = "<?xml version=\"1.0\"?><ListBucketResult>".to_owned();
    for key in keys {
        xml.push_str(&format!(
            "<Contents><Key>{key}</Key><LastModified>2024-03-01T12:00:00Z</LastModified><ETag>&quot;x&quot;</ETag>\
             <Size>10</Size></Contents>"
        ));
    }
    if let Some(next) = next {
        xml.push_str(&format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"));
    }
    Answer::of(200, xml + "</ListBucketResult>")
}

fn listed(server: &WebServer, word: &str) -> Vec<String> {
    let found = stores(server).list(&at(word)).unwrap();
    found
        .map(|found| found.map_or_else(|failure| format!("! {failure}"), |object| object.location().key.clone()))
        .collect()
}

#[test]
fn pages_follow_each_other_whatever_befalls_them() {
    let server = WebServer::start(|number, request| {
        assert!(request.target.contains("prefix=logs%2F"), "{}", request.target);
        match (request.target.contains("continuation-token=two"), number) {
            (false, 0) => Answer::of(200, "<ListBucketResult><Contents><Key>half"),
            (false, 1) => refusal(503, "SlowDown"),
            (false, _) => page(&["logs/a", "logs/b c+&amp;%41ü"], Some("two")),
            (true, 3) => Answer { cut_after: Some(60), ..page(&["logs/c"], None) },
            (true, _) => page(&["logs/c"], None),
        }
    });
    assert_eq!(listed(&server, "s3://b/logs/"), ["logs/a", "logs/b c+&%41ü", "logs/c"]);
}

#[test]
fn listings_that_fail_say_why() {
    let cases = [
        (404, "NoSuchBucket", "! there is no such bucket (404 NoSuchBucket): see its name"),
        (403, "AccessDenied", "! its store does not allow us to list the bucket"),
        (400, "ExpiredToken", "! the session token has expired (400 ExpiredToken)"),
        (403, "RequestTimeTooSkewed", "! this machine's clock is"),
        (403, "SignatureDoesNotMatch", "! the secret access key is wrong"),
    ];
    for (status, code, says) in cases {
        let server =
            WebServer::start(move |_, _| refusal(status, code).header("date", "Sat, 01 Jan 2000 00:00:00 GMT"));
        let listed = listed(&server, "s3://b/logs/");
        assert!(listed.len() == 1 && listed[0].starts_with(says), "{listed:?}");
    }
    let server = WebServer::start(|_, _| Answer::of(200, "<html>Welcome to the Wi-Fi of this hotel</html>"));
    let listed = listed(&server, "s3://b/logs/");
    assert!(listed.is_empty() || listed[0].starts_with("! tried 10 times"), "{listed:?}");
}

#[test]
fn a_bucket_in_another_region_is_followed_there_and_told() {
    let server = WebServer::start(|number, _| match number {
        0 => refusal(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-1"),
        _ => page(&["logs/a"], None),
    });
    let stores = stores(&server);
    let found: Vec<_> = stores.list(&at("s3://b/logs/")).unwrap().collect();
    assert_eq!(found.len(), 1);
    let notices = stores.notices();
    assert!(notices.len() == 1 && notices[0].starts_with("s3://b/ is in eu-west-1, not in "), "{notices:?}");
}

#[test]
fn a_region_that_sends_back_ends() {
    let server = WebServer::start(|_, _| refusal(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-1"));
    assert!(listed(&server, "s3://b/")[0].contains("is said to be in eu-west-1"));
}

#[test]
fn an_object_that_cannot_be_looked_at_says_why_though_head_has_no_body() {
    let cases = [
        (404, "NoSuchBucket", "there is no such bucket (404 NoSuchBucket): see its name"),
        (404, "NoSuchKey", "there is no such object"),
        (403, "AccessDenied", "its store does not allow us to read it"),
        (403, "InvalidObjectState", "it lies in an archive"),
        (400, "ExpiredToken", "the session token has expired (400 ExpiredToken)"),
        (403, "RequestTimeTooSkewed", "this machine's clock is"),
        (403, "SignatureDoesNotMatch", "the secret access key is wrong"),
        (403, "InvalidAccessKeyId", "its store does not know the access key"),
    ];
    for (status, code, says) in cases {
        let server = WebServer::start(move |_, request| match request.method.as_str() {
            "HEAD" => Answer::of(status, ""),
            _ => refusal(status, code),
        });
        let failure = stores(&server).look(&at("s3://b/k")).unwrap_err();
        assert!(failure.why.starts_with(says), "{failure:?}");
    }
    // Without words it is told what may be at fault.
    let server = WebServer::start(|_, _| Answer::of(403, ""));
    let failure = stores(&server).look(&at("s3://b/k")).unwrap_err();
    assert!(failure.why.ends_with("403, without a reason: the keys may also be wrong"), "{failure:?}");
    // In another region, which only the body tells.
    let server = WebServer::start(|number, request| match (request.method.as_str(), number) {
        ("HEAD", 0) => Answer::of(301, ""),
        ("GET", 1) => Answer::of(301, "<Error><Code>PermanentRedirect</Code><Region>eu-west-1</Region></Error>"),
        _ => well(b"0123456789", request),
    });
    assert_eq!(stores(&server).look(&at("s3://b/k")).unwrap().bytes(), 10);
}

#[test]
fn deleted_only_if_it_is_still_the_same() {
    let server = WebServer::start(|_, request| match request.method.as_str() {
        "DELETE" => Answer::of(204, ""),
        _ => well(b"0123456789", request),
    });
    let object = stores(&server).look(&at("s3://b/k")).unwrap();
    object.delete().unwrap();
    let seen = server.seen();
    let methods: Vec<&str> = seen.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "HEAD", "DELETE"]);
    assert_eq!((seen[2].target.as_str(), seen[2].header("if-match")), ("/b/k", ETAG));
    // Somebody has written another.
    let server = WebServer::start(|number, request| match number {
        0 => well(b"0123456789", request),
        _ => Answer::of(200, "0123456789")
            .header("etag", "\"e2\"")
            .header("last-modified", "Fri, 01 Mar 2024 12:00:00 GMT"),
    });
    let object = stores(&server).look(&at("s3://b/k")).unwrap();
    assert_eq!(object.delete().unwrap_err().kind, Kind::Changed);
    assert!(server.seen().iter().all(|request| request.method == "HEAD"));
}

#[test]
fn a_file_of_a_web_server_with_a_signed_link() {
    let server = WebServer::start(|_, request| match request.method.as_str() {
        "HEAD" => Answer::of(403, ""),
        _ => well(b"0123456789", request),
    });
    let word = format!("{}/logs/a%20b.log?signature=secret", server.url.replace("http://", "http://joe:pass@"));
    let location = at(&word);
    assert!(!location.to_string().contains("secret") && !location.to_string().contains("pass"), "{location}");
    let object = stores(&server).look(&location).unwrap();
    assert_eq!(read_all(&object, 0).unwrap(), b"0123456789");
    let seen = server.seen();
    assert_eq!(seen.last().unwrap().target, "/logs/a%20b.log?signature=secret");
    assert_eq!(seen.last().unwrap().header("authorization"), "Basic am9lOnBhc3M=");
}

#[test]
fn the_end_of_an_object_is_where_its_bytes_end() {
    // An ETag that fits into no header was the end of whoever fetched it, and looked like the end of the object.
    let server = WebServer::start(|_, request| match request.target.contains("list-type") {
        true => {
            let page = page(&["k"], None);
            let body = String::from_utf8(page.body).unwrap().replace("&quot;x&quot;", "a&#10;b");
            Answer::of(200, body)
        }
        false => Answer::of(200, "0123456789").header("last-modified", "Fri, 01 Mar 2024 12:00:00 GMT"),
    });
    let stores = stores(&server);
    let object = stores.list(&at("s3://b/")).unwrap().next().unwrap().unwrap();
    assert_eq!(read_all(&object, 0).unwrap(), b"0123456789");
}

#[test]
fn a_weak_etag_is_compared_and_not_asked_for() {
    let server = WebServer::start(|_, request| match request.header("if-match") {
        "" => Answer::of(200, "0123456789")
            .header("etag", "W/\"e\"")
            .header("last-modified", "Fri, 01 Mar 2024 12:00:00 GMT"),
        _ => refusal(412, "PreconditionFailed"),
    });
    assert_eq!(read_all(&stores(&server).look(&at("s3://b/k")).unwrap(), 0).unwrap(), b"0123456789");
}

#[test]
fn without_an_etag_the_time_tells_that_it_is_another() {
    let server = WebServer::start(|number, _| {
        let minute = if number == 0 { "00" } else { "01" };
        Answer::of(200, "0123456789").header("last-modified", format!("Fri, 01 Mar 2024 12:{minute}:00 GMT"))
    });
    let failure = read_all(&stores(&server).look(&at("s3://b/k")).unwrap(), 0).unwrap_err();
    assert!(failure.why.contains("it was written anew"), "{failure:?}");
}

#[test]
fn listings_that_never_end_end() {
    let turns = |number: usize| if number.is_multiple_of(2) { "one" } else { "two" };
    let server = WebServer::start(move |number, _| page(&["logs/a"], Some(turns(number))));
    assert!(listed(&server, "s3://b/logs/").last().unwrap().contains("the same pages again and again"));
    let server = WebServer::start(|number, _| page(&[], Some(&number.to_string())));
    assert!(listed(&server, "s3://b/logs/")[0].contains("1000 pages in a row were empty"));
    // What knows only the first version of listings would be taken to end with its first page.
    let server = WebServer::start(|_, _| {
        let page = String::from_utf8(page(&["logs/a"], None).body).unwrap();
        Answer::of(200, page.replace("</List", "<IsTruncated>true</IsTruncated></List"))
    });
    assert!(listed(&server, "s3://b/logs/")[0].contains("it has to know ListObjectsV2"));
    // Sent from one region to the other and back.
    let server = WebServer::start(|number, _| {
        let region = if number.is_multiple_of(2) { "eu-west-1" } else { "eu-north-1" };
        refusal(301, "PermanentRedirect").header("x-amz-bucket-region", region)
    });
    assert!(listed(&server, "s3://b/")[0].contains("is said to be elsewhere"));
}

#[test]
fn keys_with_control_characters() {
    let server = WebServer::start(|_, request| match request.target.contains("list-type") {
        true => page(&["a.log", "b&#13;&#x1b;.log", "c.log"], None),
        false => {
            assert!(request.target.ends_with("/b%0D%1B.log"), "{}", request.target);
            well(b"0123456789", request)
        }
    });
    let stores = stores(&server);
    let found: Vec<_> = stores.list(&at("s3://b/")).unwrap().map(Result::unwrap).collect();
    assert_eq!(found[1].location().key, "b\r\u{1b}.log");
    assert!(read_all(&found[1], 0).is_err(), "its ETag in the listing is another");
    let object = stores.look(&at("s3://b/b\r\u{1b}.log")).unwrap();
    assert_eq!(read_all(&object, 0).unwrap(), b"0123456789");
}

#[test]
fn signed_requests_are_not_sent_on() {
    let other = WebServer::start(|_, request| well(b"0123456789", request));
    let to = format!("{}/b/k", other.url);
    let server = WebServer::start(move |_, _| Answer::of(307, "").header("location", &to));
    let failure = stores(&server).look(&at("s3://b/k")).unwrap_err();
    assert!(failure.why.contains("a redirect is not followed with our keys"), "{failure:?}");
    assert!(other.seen().is_empty());
}

#[test]
fn a_server_that_ignores_ranges_is_told_of() {
    let server = WebServer::start(|number, _| {
        let answer = Answer::of(200, "0123456789").header("last-modified", "Fri, 01 Mar 2024 12:00:00 GMT");
        Answer { cut_after: (number == 1).then_some(4), ..answer }
    });
    let failure = read_all(&stores(&server).look(&at("s3://b/k")).unwrap(), 0).unwrap_err();
    assert!(failure.why.contains("does not give the rest alone"), "{failure:?}");
}
