//! A dashboard of the logs for OpenSearch Dashboards, as saved objects: an index pattern, a dozen visualizations, and the
//! dashboard that shows them. Pure: what is sent where is `opensearch/dashboards.rs`.
//!
//! Ids are fixed, so that importing again replaces. Each object but the index pattern, which has no room for it, says in
//! its description that it is ours, of which version, and what it was made of (a hash): then an object that a person has
//! rearranged is told from one that an older loghaul made. Queries are Lucene's query strings and plain aggregations,
//! which every node has; no scripts.

mod panels; // what is shown
mod vis; // how Dashboards writes a visualization down

use rapidhash::v3::rapidhash_v3;
use serde_json::{Value, json};

use crate::schema::{self, Schema};

/// Goes up by one whenever the objects change: an older loghaul leaves a newer one's objects alone.
const VERSION: u32 = 1;

/// The width of a dashboard, in Dashboards' own units.
const WIDTH: u32 = 48;

/// What a dashboard is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dashboard<'a> {
    /// What its ids begin with: `loghaul-apache-access-log`.
    pub id: &'a str,
    /// Where it looks: an alias, or a wildcard.
    pub indices: &'a str,
    /// What fields are called there.
    pub schema: Schema,
    /// Which time it opens on.
    pub time: TimeRange,
}

/// Which time a dashboard opens on, as its time picker takes it: RFC 3339, or relative such as `now-30d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// From when on.
    pub from: String,
    /// Until when.
    pub to: String,
}

/// One object as the import API takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedObject {
    /// `index-pattern`, `visualization` or `dashboard`.
    pub kind: &'static str,
    /// Fixed.
    pub id: String,
    /// Type, id, attributes, references, migration version.
    pub body: Value,
}

/// What an object that is there is to ours of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Made of the same as ours.
    Same,
    /// Made by loghaul of something else.
    Ours,
    /// Made by a newer loghaul.
    Newer,
    /// Made by somebody else.
    Foreign,
}

impl Dashboard<'_> {
    /// All objects, those that others refer to first.
    pub fn objects(&self) -> Vec<SavedObject> {
        let panels = panels::panels(self.schema);
        let mut objects = vec![self.index_pattern()];
        objects.extend(panels.iter().map(|panel| self.visualization(panel)));
        objects.push(self.dashboard(&panels));
        objects
    }

    /// The file that Dashboards imports: one object a line.
    pub fn ndjson(&self) -> String {
        ndjson(&self.objects())
    }

    fn index_pattern(&self) -> SavedObject {
        let bytes = [schema::BYTES, schema::BYTES_IN, schema::BYTES_OUT].map(|field| field.name(self.schema));
        let formats: serde_json::Map<String, Value> =
            bytes.into_iter().map(|field| (field.to_owned(), json!({ "id": "bytes" }))).collect();
        object(
            "index-pattern",
            self.id.to_owned(),
            "7.6.0",
            json!({
                "title": self.indices,
                "timeFieldName": schema::TIMESTAMP.name(self.schema),
                "fieldFormatMap": Value::Object(formats).to_string(),
            }),
            json!([]),
        )
    }

    fn visualization(&self, panel: &panels::Panel) -> SavedObject {
        let source = json!({
            "query": { "query": panel.query, "language": "lucene" },
            "filter": [],
            "indexRefName": INDEX_REFERENCE,
        });
        let state = vis::state(panel);
        let looks = vis::looks(panel);
        object(
            "visualization",
            format!("{}-{}", self.id, panel.key),
            "7.10.0",
            json!({
                "title": panel.title,
                "description": marked(panel.about, &[&state, &source, &looks]),
                "visState": state.to_string(),
                "uiStateJSON": looks.to_string(),
                "version": 1,
                "kibanaSavedObjectMeta": { "searchSourceJSON": source.to_string() },
            }),
            json!([{ "name": INDEX_REFERENCE, "type": "index-pattern", "id": self.id }]),
        )
    }

    fn dashboard(&self, panels: &[panels::Panel]) -> SavedObject {
        let places: Vec<Value> = panels
            .iter()
            .enumerate()
            .map(|(n, panel)| {
                let (x, y, w, h) = panel.place;
                assert!(x + w <= WIDTH, "{} fits the dashboard", panel.key);
                let n = n.to_string();
                json!({
                    "version": "7.9.3",
                    "gridData": { "x": x, "y": y, "w": w, "h": h, "i": n },
                    "panelIndex": n,
                    "embeddableConfig": {},
                    "panelRefName": format!("panel_{n}"),
                })
            })
            .collect();
        let references: Vec<Value> = panels
            .iter()
            .enumerate()
            .map(|(n, panel)| {
                let id = format!("{}-{}", self.id, panel.key);
                json!({ "name": format!("panel_{n}"), "type": "visualization", "id": id })
            })
            .collect();
        let (places, references) = (Value::Array(places), Value::Array(references));
        let source = json!({ "query": { "query": "", "language": "lucene" }, "filter": [] });
        object(
            "dashboard",
            self.id.to_owned(),
            "7.9.3",
            json!({
                "title": format!("Apache access logs: {}", self.indices),
                "description": marked("What was asked for, by whom, and how it went", &[&places, &references]),
                "hits": 0,
                "panelsJSON": places.to_string(),
                "optionsJSON": json!({ "hidePanelTitles": false, "useMargins": true }).to_string(),
                "version": 1,
                "timeRestore": true,
                "timeFrom": self.time.from,
                "timeTo": self.time.to,
                "refreshInterval": { "pause": true, "value": 0 },
                "kibanaSavedObjectMeta": { "searchSourceJSON": source.to_string() },
            }),
            references,
        )
    }
}

/// Objects as a file that Dashboards imports.
pub fn ndjson(objects: &[SavedObject]) -> String {
    objects.iter().map(|object| object.body.to_string() + "\n").collect()
}

impl SavedObject {
    /// What `found`, an object of the same type and id as the server gives it, is to ours.
    pub fn standing(&self, found: &Value) -> Standing {
        let (ours, theirs) = (&self.body["attributes"], &found["attributes"]);
        if self.kind == "index-pattern" {
            // Nobody else uses such an id, and Dashboards adds the list of fields by itself.
            let same = ["title", "timeFieldName"].iter().all(|key| ours[*key] == theirs[*key]);
            return if same { Standing::Same } else { Standing::Ours };
        }
        let ours = ours["description"].as_str().and_then(mark);
        match theirs["description"].as_str().and_then(mark) {
            None => Standing::Foreign,
            Some((version, _)) if version > VERSION => Standing::Newer,
            theirs if theirs == ours => Standing::Same,
            Some(_) => Standing::Ours,
        }
    }
}

const INDEX_REFERENCE: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";

/// An object that needs none of the migrations up to `migrated`: what OpenSearch Dashboards has started from.
fn object(kind: &'static str, id: String, migrated: &str, attributes: Value, references: Value) -> SavedObject {
    let body = json!({
        "type": kind,
        "id": id,
        "attributes": attributes,
        "references": references,
        "migrationVersion": { kind: migrated },
    });
    SavedObject { kind, id, body }
}

const MARK: &str = " (loghaul setup, version ";

fn marked(about: &str, made_of: &[&Value]) -> String {
    let text: String = made_of.iter().map(|part| part.to_string()).collect();
    format!("{about}{MARK}{VERSION}, {:08x})", rapidhash_v3(text.as_bytes()) as u32)
}

/// Version and hash in a description of ours.
fn mark(description: &str) -> Option<(u32, &str)> {
    let (_, mark) = description.rsplit_once(MARK)?;
    let (version, hash) = mark.strip_suffix(')')?.split_once(", ")?;
    Some((version.parse().ok()?, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(schema: Schema) -> Vec<SavedObject> {
        let time = TimeRange { from: "now-30d".into(), to: "now".into() };
        Dashboard { id: "loghaul-web", indices: "web", schema, time }.objects()
    }

    #[test]
    fn each_reference_is_met_by_an_object_before_it() {
        for schema in [Schema::Grok, Schema::Ecs] {
            let mut seen = Vec::new();
            for object in objects(schema) {
                for reference in object.body["references"].as_array().unwrap() {
                    let to = (reference["type"].as_str().unwrap(), reference["id"].as_str().unwrap());
                    assert!(seen.contains(&(to.0.to_owned(), to.1.to_owned())), "{to:?}");
                }
                let own = (object.kind.to_owned(), object.id.clone());
                assert!(!seen.contains(&own) && object.id.starts_with("loghaul-web"), "{own:?}");
                seen.push(own);
            }
            assert!(seen.len() > 10);
        }
    }

    #[test]
    fn panels_do_not_lie_on_each_other() {
        let dashboard = objects(Schema::Grok).pop().unwrap();
        let panels: Value = serde_json::from_str(dashboard.body["attributes"]["panelsJSON"].as_str().unwrap()).unwrap();
        let place = |panel: &Value| ["x", "y", "w", "h"].map(|key| panel["gridData"][key].as_u64().unwrap());
        let places: Vec<_> = panels.as_array().unwrap().iter().map(place).collect();
        for (n, [x, y, w, h]) in places.iter().enumerate() {
            for [x2, y2, w2, h2] in &places[n + 1..] {
                assert!(x + w <= *x2 || x2 + w2 <= *x || y + h <= *y2 || y2 + h2 <= *y, "{n}");
            }
        }
    }

    #[test]
    fn no_scripts() {
        for schema in [Schema::Grok, Schema::Ecs] {
            assert!(objects(schema).iter().all(|object| !object.body.to_string().contains("\"script")));
        }
    }

    #[test]
    fn whose_an_object_is() {
        let of = |objects: Vec<SavedObject>| objects.into_iter().rev().nth(1).unwrap();
        let (grok, ecs) = (of(objects(Schema::Grok)), of(objects(Schema::Ecs)));
        assert_eq!(grok.standing(&grok.body), Standing::Same);
        assert_eq!(grok.standing(&ecs.body), Standing::Ours);
        let mut other = grok.body.clone();
        other["attributes"]["description"] = json!("mine");
        assert_eq!(grok.standing(&other), Standing::Foreign);
        other["attributes"]["description"] = json!(format!("x{MARK}99, 00)"));
        assert_eq!(grok.standing(&other), Standing::Newer);
    }
}
