//! [`differences`]: which fields a mapping keeps otherwise than documents of a schema need. Pure; who asks decides what is
//! a warning and what a refusal.

use serde_json::Value;

use super::{FIELDS, Field, Mapping, Schema};

/// A field that a mapping keeps otherwise, or does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: Field,
    /// Its name in the schema that was asked for.
    pub name: &'static str,
    /// The type that we would give it: `long`.
    pub wanted: &'static str,
    /// The type that it has; `None` where the mapping does not know the field.
    pub found: Option<String>,
}

/// Compares `mappings` (an object with `properties`, as templates and indices have it) with what documents of `schema`
/// need. Fields come in the order of documents; those that agree are left out. `date_nanos` is a date and
/// `unsigned_long` as good as `long`.
pub fn differences(schema: Schema, mappings: &Value) -> Vec<Difference> {
    let differs = |field: Field| {
        let name = field.name(schema);
        let found = type_of(mappings, name);
        let (wanted, as_good): (_, &[&str]) = match field.mapping {
            Mapping::Date => ("date", &["date_nanos"]),
            Mapping::Long => ("long", &["unsigned_long"]),
            Mapping::Keyword | Mapping::Client => ("keyword", &[]),
            Mapping::Text => ("text", &["keyword", "match_only_text"]),
        };
        let agrees = found.is_some_and(|found| found == wanted || as_good.contains(&found));
        (!agrees).then(|| Difference { field, name, wanted, found: found.map(str::to_owned) })
    };
    FIELDS.into_iter().filter_map(differs).collect()
}

/// The type of a field by its dotted name. What has `properties` and no type is an `object`.
fn type_of<'m>(mappings: &'m Value, name: &str) -> Option<&'m str> {
    let properties = mappings.get("properties")?;
    // A template may also write a dotted name as it is.
    if let Some(whole) = properties.get(name) {
        return Some(whole["type"].as_str().unwrap_or("object"));
    }
    let (object, rest) = name.split_once('.')?;
    type_of(properties.get(object)?, rest)
}

/// Whether `mappings` were made for another schema than this one: they know most fields of the other by name, and few
/// of ours. Mappings of neither (guessed by OpenSearch, or none at all) are of no schema.
pub fn made_for_another(schema: Schema, mappings: &Value) -> Option<Schema> {
    let known = |schema: Schema| {
        let only_here = FIELDS.into_iter().filter(|field| field.grok != field.ecs);
        only_here.filter(|field| type_of(mappings, field.name(schema)).is_some()).count()
    };
    let other = match schema {
        Schema::Grok => Schema::Ecs,
        Schema::Ecs => Schema::Grok,
    };
    // One name or two may be there for other reasons: `message` is everybody's.
    (known(other) >= 4 && known(other) > 2 * known(schema)).then_some(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::template::mappings;
    use super::*;

    #[test]
    fn our_own_mappings_agree() {
        for schema in [Schema::Grok, Schema::Ecs] {
            for lean in [false, true] {
                let mappings = mappings(schema, lean);
                assert_eq!(differences(schema, &mappings), []);
                assert_eq!(made_for_another(schema, &mappings), None);
            }
        }
        assert_eq!(made_for_another(Schema::Grok, &mappings(Schema::Ecs, false)), Some(Schema::Ecs));
        assert_eq!(made_for_another(Schema::Ecs, &mappings(Schema::Grok, true)), Some(Schema::Grok));
        assert_eq!(made_for_another(Schema::Ecs, &json!({})), None);
    }

    #[test]
    fn each_difference_is_named() {
        let mut grok = mappings(Schema::Grok, false);
        grok["properties"]["bytes"] = json!({"type": "integer"});
        grok["properties"]["agent"] = json!({"properties": {"name": {"type": "keyword"}}});
        grok["properties"]["log"] = json!({"properties": {"file": {"properties": {}}, "offset": {"type": "long"}}});
        grok["properties"]["s3.key"] = json!({"type": "keyword"});
        let found: Vec<_> = differences(Schema::Grok, &grok).into_iter().map(|d| (d.name, d.wanted, d.found)).collect();
        assert_eq!(
            found,
            [
                ("bytes", "long", Some("integer".to_owned())),
                ("agent", "keyword", Some("object".to_owned())),
                ("log.file.path", "keyword", None),
            ]
        );
    }
}
