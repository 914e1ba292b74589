//! `loghaul setup` with what no test node has: OpenSearch Dashboards, and a cluster with Index State Management. Both are
//! played here, as their documents and sources have them: paths, headers, the upload's form, answers.

#[allow(dead_code, unused_imports)] // other test programs use other parts of it
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use support::{Folder, Ran};

/// What a played server has.
#[derive(Default)]
struct World {
    /// By `type/id`.
    objects: BTreeMap<String, Value>,
    template: Option<Value>,
    policy: Option<Value>,
    /// Index to its policy.
    managed: BTreeMap<String, Option<String>>,
    /// Times that the policy was handed on.
    changed: u32,
    /// Refuse the import of this id.
    refuse: Option<String>,
    /// Dashboards is not ready.
    starting: bool,
}

/// A cluster and a Dashboards at one address: their paths differ.
struct Played {
    url: String,
    world: Arc<Mutex<World>>,
}

impl Played {
    fn start() -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let world = Arc::new(Mutex::new(World::default()));
        let ours = Arc::clone(&world);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let world = Arc::clone(&ours);
                thread::spawn(move || serve(&connection, &world));
            }
        });
        Played { url, world }
    }

    fn setup(&self, more: &[&str]) -> Ran {
        Folder::new().run(&[&["setup", "--to", &self.url], more].concat())
    }

    fn with_dashboards(&self, more: &[&str]) -> Ran {
        self.setup(&[&["--dashboards", &self.url], more].concat())
    }
}

fn serve(connection: &TcpStream, world: &Mutex<World>) {
    let mut reader = BufReader::new(connection);
    loop {
        let (mut first, mut head, mut length) = (String::new(), String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
            head += &(line + "\n");
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the whole body");
        let mut words = first.split(' ');
        let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
        let body = String::from_utf8(body).expect("UTF-8");
        let (status, answer) = answer(&mut world.lock().expect("not poisoned"), method, path, &head, &body);
        let answer = answer.to_string();
        let mut writer = connection;
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if writer.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(world: &mut World, method: &str, target: &str, head: &str, body: &str) -> (u16, Value) {
    let (path, _) = target.split_once('?').unwrap_or((target, ""));
    let json = || serde_json::from_str::<Value>(body).expect("JSON");
    if path.starts_with("/api/") {
        // Dashboards refuses what a page could have forged.
        if method != "GET" && !head.contains("osd-xsrf: true") {
            return (
                400,
                json!({"statusCode": 400, "error": "Bad Request", "message": "Request must contain a osd-xsrf header."}),
            );
        }
        if world.starting {
            return (503, Value::Null);
        }
        return dashboards(world, method, target, head, body);
    }
    let missing =
        || (404, json!({"error": {"type": "resource_not_found_exception", "reason": "missing"}, "status": 404}));
    match (method, path) {
        ("GET", "/") => {
            (200, json!({"cluster_uuid": "u", "version": {"number": "3.0.0", "distribution": "opensearch"}}))
        }
        ("GET", "/_template") => (200, json!({})),
        ("GET", "/_index_template") => (200, json!({"index_templates": []})),
        (_, path) if path.starts_with("/_index_template/") => match method {
            "GET" => match &world.template {
                Some(template) => (200, json!({"index_templates": [{"name": "t", "index_template": template}]})),
                None => missing(),
            },
            "PUT" => {
                world.template = Some(json());
                (200, json!({"acknowledged": true}))
            }
            _ => {
                world.template = None;
                (200, json!({"acknowledged": true}))
            }
        },
        ("GET", path) if path.starts_with("/_cat/indices/") => (
            200,
            world.managed.keys().map(|name| json!({"index": name, "docs.count": "5", "store.size": "1000"})).collect(),
        ),
        ("GET", path) if path.ends_with("/_alias") => (
            200,
            world
                .managed
                .keys()
                .filter(|name| name.ends_with(|last: char| last.is_ascii_digit()))
                .map(|name| (name.clone(), json!({})))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        ),
        ("POST", "/_aliases") => (200, json!({"acknowledged": true})),
        ("POST", path) if path.ends_with("/_search") => (
            200,
            json!({"aggregations": {"from": {"value": 1_608_382_646_000.0}, "to": {"value": 1_709_640_000_000.0}}}),
        ),
        ("GET", "/_plugins/_ism/policies/loghaul-apache-access-log") => match &world.policy {
            Some(policy) => (200, policy.clone()),
            None => (404, json!({"error": {"type": "status_exception", "reason": "Policy not found"}, "status": 404})),
        },
        ("PUT", "/_plugins/_ism/policies/loghaul-apache-access-log") => {
            let expected = world
                .policy
                .as_ref()
                .map_or(String::new(), |policy| format!("?if_seq_no={}&if_primary_term=1", policy["_seq_no"]));
            assert!(target.ends_with(&format!("loghaul-apache-access-log{expected}")), "{target}");
            let mut policy = json()["policy"].clone();
            // As the plugin gives it back.
            policy["policy_id"] = json!("loghaul-apache-access-log");
            policy["states"][1]["actions"][0]["retry"] = json!({"count": 3, "backoff": "exponential", "delay": "1m"});
            policy["ism_template"] = json!([]);
            let number = world.policy.as_ref().map_or(7, |policy| policy["_seq_no"].as_i64().unwrap() + 1);
            world.policy = Some(json!({"_id": "p", "_seq_no": number, "_primary_term": 1, "policy": policy}));
            (201, json!({}))
        }
        ("DELETE", "/_plugins/_ism/policies/loghaul-apache-access-log") => {
            let has_it = |policy: &Option<String>| policy.as_deref() == Some("loghaul-apache-access-log");
            assert!(!world.managed.values().any(has_it), "indices would go on with their copies of it");
            world.policy = None;
            (200, json!({}))
        }
        ("GET", path) if path.starts_with("/_plugins/_ism/explain/") => {
            let of = |policy: &Option<String>| json!({"index.plugins.index_state_management.policy_id": policy});
            (
                200,
                world
                    .managed
                    .iter()
                    .map(|(name, policy)| (name.clone(), of(policy)))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            )
        }
        ("POST", path) if path.starts_with("/_plugins/_ism/") => {
            let (verb, names) = path.strip_prefix("/_plugins/_ism/").unwrap().split_once('/').unwrap();
            for name in names.split(',') {
                let policy = world.managed.get_mut(name).expect("an index that is there");
                match verb {
                    "add" => *policy = Some(json()["policy_id"].as_str().unwrap().to_owned()),
                    "remove" => *policy = None,
                    "change_policy" => world.changed += 1,
                    other => panic!("{other}"),
                }
            }
            (200, json!({"updated_indices": 1, "failures": false, "failed_indices": []}))
        }
        ("POST", path) if path.ends_with("/_bulk") => {
            let created = vec![json!({"create": {"status": 201}}); body.lines().count() / 2];
            (200, json!({"errors": false, "items": created}))
        }
        // What a load would like to know besides.
        _ => (403, json!({"error": {"type": "security_exception", "reason": "no permissions"}, "status": 403})),
    }
}

fn dashboards(world: &mut World, method: &str, target: &str, head: &str, body: &str) -> (u16, Value) {
    match (method, target) {
        ("GET", "/api/status") => (200, json!({"name": "d", "version": {"number": "3.0.0"}})),
        ("POST", "/api/saved_objects/_bulk_get") => {
            let wanted: Vec<Value> = serde_json::from_str(body).expect("a list");
            let found = wanted.into_iter().map(|object| {
                let (kind, id) = (object["type"].as_str().unwrap(), object["id"].as_str().unwrap());
                let not_found =
                    json!({"type": kind, "id": id, "error": {"statusCode": 404, "error": "Not Found", "message": "x"}});
                world.objects.get(&format!("{kind}/{id}")).cloned().unwrap_or(not_found)
            });
            (200, json!({"saved_objects": found.collect::<Vec<_>>()}))
        }
        ("POST", "/api/saved_objects/_import?overwrite=true") => {
            let boundary = head.split("multipart/form-data; boundary=").nth(1).expect("a form").lines().next().unwrap();
            let inner = body.strip_prefix(&format!("--{boundary}\r\n")).expect("the boundary first");
            let inner = inner.strip_suffix(&format!("\r\n--{boundary}--\r\n")).expect("the boundary last");
            let (part, file) = inner.split_once("\r\n\r\n").expect("the part's head");
            assert!(part.contains("name=\"file\"; filename=\"") && part.contains(".ndjson\""), "{part}");
            let (mut imported, mut errors) = (0, Vec::new());
            for line in file.lines() {
                let object: Value = serde_json::from_str(line).expect("one object a line");
                let (kind, id) = (object["type"].as_str().unwrap(), object["id"].as_str().unwrap());
                if world.refuse.as_deref() == Some(id) {
                    errors.push(json!({"type": kind, "id": id, "error": {"type": "unsupported_type"}}));
                } else {
                    imported += 1;
                    world.objects.insert(format!("{kind}/{id}"), object);
                }
            }
            (200, json!({"success": errors.is_empty(), "successCount": imported, "errors": errors}))
        }
        _ => {
            let key = target.strip_prefix("/api/saved_objects/").expect("a known path");
            match method {
                "DELETE" => match world.objects.remove(key) {
                    Some(_) => (200, json!({})),
                    None => (404, json!({"statusCode": 404, "error": "Not Found", "message": "x"})),
                },
                "PUT" => {
                    let change: Value = serde_json::from_str(body).expect("JSON");
                    let object = world.objects.get_mut(key).expect("it is there");
                    for (name, value) in change["attributes"].as_object().expect("attributes") {
                        object["attributes"][name] = value.clone();
                    }
                    (200, json!({}))
                }
                other => panic!("{other} {target}"),
            }
        }
    }
}

fn said(ran: &Ran) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

const DASHBOARD: &str = "dashboard/loghaul-apache-access-log";
const TRAFFIC: &str = "visualization/loghaul-apache-access-log-traffic";

#[test]
fn a_dashboard_is_put_kept_updated_and_taken_away() {
    let played = Played::start();
    assert!(said(&played.with_dashboards(&["--dry-run"]).ends_with(0)).contains("would put: dashboard"));
    assert!(played.world.lock().unwrap().objects.is_empty());
    let put = said(&played.with_dashboards(&[]).ends_with(0));
    assert!(
        put.contains("put: dashboard")
            && put.contains("(14 objects), from 2020-12-19T12:00:00Z to 2024-03-05T13:00:00Z"),
        "{put}"
    );
    let first = played.world.lock().unwrap().objects.clone();
    assert_eq!(first.len(), 14);
    assert_eq!(first[DASHBOARD]["attributes"]["timeFrom"], "2020-12-19T12:00:00Z");
    let again = said(&played.with_dashboards(&[]).ends_with(0));
    assert!(again.lines().all(|line| line.starts_with("unchanged")), "{again}");

    // A person moves panels, Dashboards lists fields; the time of the data has changed. Only the time is set.
    {
        let mut world = played.world.lock().unwrap();
        world.objects.get_mut(DASHBOARD).unwrap()["attributes"]["panelsJSON"] = json!("[]");
        world.objects.get_mut(DASHBOARD).unwrap()["attributes"]["timeTo"] = json!("2021-01-01T00:00:00Z");
        world.objects.get_mut("index-pattern/loghaul-apache-access-log").unwrap()["attributes"]["fields"] = json!("[]");
    }
    let time = said(&played.with_dashboards(&[]).ends_with(0));
    assert!(time.contains("updated: dashboard") && time.contains("the time it opens on"), "{time}");
    {
        let world = played.world.lock().unwrap();
        let attributes = &world.objects[DASHBOARD]["attributes"];
        assert_eq!((&attributes["panelsJSON"], &attributes["timeTo"]), (&json!("[]"), &json!("2024-03-05T13:00:00Z")));
    }

    // Another schema makes other objects of ours; those of others are left.
    let ecs = said(&played.with_dashboards(&["--schema", "ecs"]).ends_with(0));
    assert!(ecs.contains("updated: dashboard"), "{ecs}");
    played.world.lock().unwrap().objects.get_mut(TRAFFIC).unwrap()["attributes"]["description"] = json!("mine");
    let refused = played.with_dashboards(&["--schema", "ecs"]).ends_with(1);
    refused.says(&["nothing was changed", "loghaul-apache-access-log-traffic", "was not made by loghaul"]);

    let removed = said(&played.with_dashboards(&["--remove", "--yes"]).ends_with(0));
    assert!(removed.contains("kept: visualization") && removed.contains("removed: dashboard"), "{removed}");
    assert_eq!(played.world.lock().unwrap().objects.keys().collect::<Vec<_>>(), [TRAFFIC]);
    played.with_dashboards(&["--remove", "--yes", "--force"]).ends_with(0);
    assert!(played.world.lock().unwrap().objects.is_empty());
}

#[test]
fn what_dashboards_says_against_it_is_told() {
    let played = Played::start();
    played.world.lock().unwrap().refuse = Some("loghaul-apache-access-log-agents".into());
    let ran = played.with_dashboards(&[]).ends_with(1);
    ran.says(&["cannot import saved objects", "visualization \"loghaul-apache-access-log-agents\": unsupported_type"]);
    played.world.lock().unwrap().starting = true;
    played.with_dashboards(&[]).ends_with(1).says(&["cannot reach OpenSearch Dashboards", "HTTP 503"]);
    let cluster = support::FixedServer::start("200 OK", "application/json", "{\"version\":{}}");
    let ran = played.setup(&["--dashboards", &cluster.url]).ends_with(1);
    ran.says(&["is not OpenSearch Dashboards", "5601"]);
    played.setup(&["--dashboards", "http://127.0.0.1:1"]).ends_with(1).says(&["cannot reach OpenSearch Dashboards"]);
}

#[test]
fn old_indices_are_deleted_by_policy() {
    let played = Played::start();
    let policy_of = |world: &World, index: &str| world.managed[index].clone();
    {
        let mut world = played.world.lock().unwrap();
        world.managed.insert("apache-access-log-2020-12".into(), None);
        world.managed.insert("apache-access-log-2020-11".into(), Some("theirs".into()));
        world.managed.insert("apache-access-log-20240101t000000z".into(), None);
        world.managed.insert("apache-access-log-orders".into(), None);
    }
    let put = said(&played.setup(&["--delete-after", "90d"]).ends_with(0));
    assert!(
        put.contains("put: ISM policy") && put.contains("121 days") && put.contains("on 1 index without one"),
        "{put}"
    );
    {
        let world = played.world.lock().unwrap();
        let policy = &world.policy.as_ref().unwrap()["policy"];
        assert_eq!(policy["states"][0]["transitions"][0]["conditions"], json!({"min_index_age": "121d"}));
        assert_eq!(policy["ism_template"], json!([]), "a wildcard takes along what is not ours");
        assert_eq!(policy_of(&world, "apache-access-log-orders"), None);
        assert_eq!(policy_of(&world, "apache-access-log-2020-12").as_deref(), Some("loghaul-apache-access-log"));
        assert_eq!(policy_of(&world, "apache-access-log-2020-11").as_deref(), Some("theirs"));
        assert_eq!(policy_of(&world, "apache-access-log-20240101t000000z"), None, "no index that load makes");
    }
    let again = said(&played.setup(&["--delete-after", "90d"]).ends_with(0));
    assert!(again.lines().all(|line| line.starts_with("unchanged")), "{again}");
    let longer = said(&played.setup(&["--delete-after", "120d"]).ends_with(0));
    assert!(longer.contains("updated: ISM policy"), "{longer}");
    assert_eq!(played.world.lock().unwrap().changed, 1, "the index has the new form");

    // One of an older loghaul had a wildcard: it is updated, and whom it had caught is named.
    {
        let mut world = played.world.lock().unwrap();
        world.policy.as_mut().unwrap()["policy"]["ism_template"] = json!([{"index_patterns": ["apache-access-log-*"]}]);
        let old =
            world.policy.as_ref().unwrap()["policy"]["description"].as_str().unwrap().replace("version 2", "version 1");
        world.policy.as_mut().unwrap()["policy"]["description"] = json!(old);
        world.managed.insert("apache-access-log-orders".into(), Some("loghaul-apache-access-log".into()));
    }
    let updated = said(&played.setup(&["--delete-after", "120d"]).ends_with(0));
    assert!(updated.contains("updated: ISM policy"), "{updated}");
    assert!(updated.contains("POST _plugins/_ism/remove/apache-access-log-orders"), "{updated}");
    played.world.lock().unwrap().managed.insert("apache-access-log-orders".into(), None);

    let removed = said(&played.setup(&["--remove", "--yes"]).ends_with(0));
    assert!(removed.contains("removed: ISM policy"), "{removed}");
    let world = played.world.lock().unwrap();
    assert!(world.policy.is_none() && world.template.is_none());
}

/// No wildcard does it: the load puts the policy on what it has made, and on nothing else.
#[test]
fn a_load_puts_the_policy_on_its_indices() {
    let played = Played::start();
    played.setup(&["--delete-after", "90d"]).ends_with(0);
    {
        let mut world = played.world.lock().unwrap();
        world.managed.insert("apache-access-log-2024-03".into(), None); // as the bulk would make it
        world.managed.insert("apache-access-log-orders".into(), None);
    }
    let folder = Folder::new();
    folder.write_settled("access.log", support::logs::lines(10));
    let load = ["load", "access.log", "--no-ledger", "--to", &played.url];
    folder.run(&load).ends_with(0).tells(&["the ISM policy loghaul-apache-access-log is on 1 index that had none"]);
    let policy_of = |index: &str| played.world.lock().unwrap().managed[index].clone();
    assert_eq!(policy_of("apache-access-log-2024-03").as_deref(), Some("loghaul-apache-access-log"));
    assert_eq!(policy_of("apache-access-log-orders"), None);
    let again = folder.run(&load).ends_with(0).told();
    assert!(!again.contains("ISM"), "{again}");
}
