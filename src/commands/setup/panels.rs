//! The dashboard: which time it opens on, and which of its objects are to be imported.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::steps::{Steps, Verdict};
use crate::config::setup::SetupConfig;
use crate::dashboards::{self, Dashboard, SavedObject, Standing, TimeRange};
use crate::error::Result;
use crate::opensearch::{Client, Method};
use crate::schema;

/// Data whose last event is not older than this is still growing: the dashboard ends now.
const GROWING: SignedDuration = SignedDuration::from_hours(48);

/// The dashboard that the flags ask for.
pub fn dashboard<'a>(config: &'a SetupConfig, id: &'a str, time: TimeRange) -> Dashboard<'a> {
    Dashboard { id, indices: config.alias.as_deref().unwrap_or(&config.wildcard), schema: config.schema, time }
}

/// The time of the data that is there, from its first hour to the end of its last; or the last thirty days where there
/// is none, or nobody to ask.
///
/// # Errors
/// The server says no.
pub fn time_range(client: Option<&Client>, config: &SetupConfig) -> Result<TimeRange> {
    let empty = TimeRange { from: "now-30d".to_owned(), to: "now".to_owned() };
    let Some(client) = client else { return Ok(empty) };
    let timestamp = schema::TIMESTAMP.name(config.schema);
    let body = json!({
        "size": 0,
        "aggs": { "from": { "min": { "field": timestamp } }, "to": { "max": { "field": timestamp } } },
    });
    // The wildcard, not the alias: that may not be there yet.
    let path = format!("/{}/_search?ignore_unavailable=true&allow_no_indices=true", config.wildcard);
    let found = client.json_ok("ask for the time of the data", Method::Post, &path, Some(&body))?;
    let second = |name: &str| found["aggregations"][name]["value"].as_f64().map(|ms| (ms / 1000.0) as i64);
    let (Some(from), Some(to)) = (second("from"), second("to")) else { return Ok(empty) };
    let hour = |second: i64| Timestamp::from_second(second).map_or(empty.from.clone(), |time| time.to_string());
    let grows = Timestamp::from_second(to).is_ok_and(|last| Timestamp::now().duration_since(last) < GROWING);
    Ok(TimeRange {
        from: hour(from.div_euclid(3_600) * 3_600),
        to: if grows { "now".to_owned() } else { hour((to.div_euclid(3_600) + 1) * 3_600) },
    })
}

/// Looks at the objects that are there.
///
/// # Errors
/// The server says no.
pub fn plan<'c>(config: &'c SetupConfig, client: &Client, server: &'c Client, steps: &mut Steps<'c>) -> Result<()> {
    let time = time_range(Some(client), config)?;
    let id = config.name();
    let objects = dashboard(config, &id, time.clone()).objects();
    let what = |change: &str| {
        let address = server.addresses().next().expect("a client has a host");
        format!("dashboard \"{}\" at {address}{change}, from {} to {}", title(&objects), time.from, time.to)
    };
    let found = server.saved_objects(&wanted(&objects))?;
    let standings: Vec<Option<Standing>> =
        objects.iter().zip(&found).map(|(object, found)| Some(object.standing(found.as_ref()?))).collect();
    for (object, standing) in objects.iter().zip(&standings) {
        let why = match standing {
            _ if steps.force() => continue,
            Some(Standing::Foreign) => "it was not made by loghaul",
            Some(Standing::Newer) => "it was made by a newer loghaul",
            _ => continue,
        };
        steps.tell(Verdict::Refused(why.to_owned()), format!("{} {:?} of Dashboards", object.kind, object.id));
    }
    let changed: Vec<SavedObject> = objects
        .iter()
        .zip(&standings)
        .filter(|(_, standing)| **standing != Some(Standing::Same))
        .map(|(object, _)| object.clone())
        .collect();
    if !changed.is_empty() {
        let there = standings.iter().any(Option::is_some);
        let (verdict, change) = if there {
            (Verdict::Update, format!(" ({} of its {} objects)", changed.len(), objects.len()))
        } else {
            (Verdict::Put, format!(" ({} objects)", objects.len()))
        };
        steps.add(verdict, what(&change), move || server.import_saved_objects(&dashboards::ndjson(&changed)));
    }
    // A person may have rearranged it: of a dashboard that is otherwise the same only the time is changed.
    let (last, last_found) = (objects.last().expect("a dashboard"), found.last().and_then(Option::as_ref));
    match last_found.filter(|_| standings.last() == Some(&Some(Standing::Same))) {
        Some(there) if opens_on(there) != opens_on(&last.body) => {
            let id = last.id.clone();
            let attributes = json!({ "timeRestore": true, "timeFrom": time.from, "timeTo": time.to });
            steps.add(Verdict::Update, what(": the time it opens on"), move || {
                server.update_saved_object("dashboard", &id, &attributes)
            });
        }
        Some(_) if standings.iter().all(|standing| *standing == Some(Standing::Same)) => {
            steps.tell(Verdict::Unchanged, what(""));
        }
        _ => {}
    }
    Ok(())
}

/// Type and id of each, as they are asked for.
pub fn wanted(objects: &[SavedObject]) -> Vec<(&str, &str)> {
    objects.iter().map(|object| (object.kind, object.id.as_str())).collect()
}

/// What the dashboard is called.
pub fn title(objects: &[SavedObject]) -> &str {
    objects.last().and_then(|dashboard| dashboard.body["attributes"]["title"].as_str()).unwrap_or_default()
}

fn opens_on(dashboard: &Value) -> [&Value; 2] {
    let attributes = &dashboard["attributes"];
    [&attributes["timeFrom"], &attributes["timeTo"]]
}
