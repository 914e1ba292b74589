//! Template, alias and policy: what is there, and what is to be done.

use serde_json::Value;

use super::steps::{Steps, Verdict};
use crate::config::setup::SetupConfig;
use crate::error::Result;
use crate::opensearch::policy::policy;
use crate::opensearch::{Client, Standing, TemplateMatch};
use crate::pipeline::report::figures::counted_indices;
use crate::schema::{self, Template};

/// The template that the flags ask for.
pub fn template(config: &SetupConfig) -> Value {
    schema::template(&Template {
        wildcard: &config.wildcard,
        schema: config.schema,
        lean: config.lean,
        shards: config.shards,
        replicas: config.replicas,
        alias: config.alias.as_deref(),
    })
}

/// Looks at all three.
///
/// # Errors
/// The server says no.
pub fn plan<'c>(config: &'c SetupConfig, client: &'c Client, steps: &mut Steps<'c>) -> Result<()> {
    // An index made before the policy or the template were there gets them as it is.
    let mut indices: Vec<String> = client.indices(&config.wildcard)?.into_iter().map(|index| index.name).collect();
    indices.retain(|name| config.pattern.gives(name));
    plan_policy(config, client, &indices, steps)?;
    plan_template(config, client, steps)?;
    plan_alias(config, client, &indices, steps)
}

fn plan_template<'c>(config: &'c SetupConfig, client: &'c Client, steps: &mut Steps<'c>) -> Result<()> {
    let (name, mut wanted) = (config.name(), template(config));
    if let Some(alias) = &config.alias {
        client.remember_alias(&name, alias, &mut wanted)?;
    }
    let standing = client.find_template(&name, &wanted)?;
    let what = format!("index template {name:?} for {}", config.wildcard);
    match verdict(standing, steps.force()) {
        verdict @ (Verdict::Put | Verdict::Update) => {
            steps.add(verdict, what, move || client.put_template(&name, &wanted));
        }
        verdict => steps.tell(verdict, what),
    }
    Ok(())
}

fn plan_alias<'c>(
    config: &'c SetupConfig,
    client: &'c Client,
    indices: &[String],
    steps: &mut Steps<'c>,
) -> Result<()> {
    let Some(alias) = &config.alias else { return Ok(()) };
    let behind = client.behind(alias)?;
    let what = format!("alias {alias:?} over them");
    if behind.contains(alias) {
        let why = "an index has this name; --alias gives another, --no-alias none";
        steps.tell(Verdict::Refused(why.to_owned()), what);
        return Ok(());
    }
    let strangers: Vec<&String> = behind.iter().filter(|index| !config.pattern.gives(index)).collect();
    if let (Some(stranger), false) = (strangers.first(), steps.force()) {
        let why = format!("{stranger:?} is behind it already; --alias gives another, --no-alias none");
        steps.tell(Verdict::Refused(why), what);
        return Ok(());
    }
    let missing: Vec<String> = indices.iter().filter(|index| !behind.contains(index)).cloned().collect();
    match (missing.len(), behind.len()) {
        (0, 0) => steps.tell(Verdict::Unchanged, format!("{what}: the template gives it to each new index")),
        (0, _) => steps.tell(Verdict::Unchanged, what),
        (many, had) => {
            let verdict = if had == 0 { Verdict::Put } else { Verdict::Update };
            let what = format!("{what}: for {many} that {} there", if many == 1 { "is" } else { "are" });
            steps.add(verdict, what, move || client.move_alias(alias, &missing, &[]));
        }
    }
    Ok(())
}

fn plan_policy<'c>(
    config: &'c SetupConfig,
    client: &'c Client,
    indices: &[String],
    steps: &mut Steps<'c>,
) -> Result<()> {
    let Some(hours) = config.delete_after_hours else { return Ok(()) };
    let (name, wanted) = (config.name(), policy(config.pattern.as_str(), hours));
    let what = format!(
        "ISM policy {name:?}, which deletes indices of {} {} days after they were created; each new one gets it at the end \
         of the load that made it, or by setup",
        config.pattern.as_str(),
        hours.div_ceil(24)
    );
    let Some(found) = client.find_policy(&name, &wanted)? else {
        let why = "this cluster has no Index State Management (the plugin opensearch-index-management); old indices are \
                   not deleted by themselves";
        steps.tell(Verdict::Kept(why.to_owned()), what);
        return Ok(());
    };
    let standing = found.standing.clone();
    // An index keeps a copy of its policy: those that have an older one are told.
    let (without, with) = client.managed(&name, indices)?;
    // A wildcard of an older loghaul may have put it on indices of others.
    if !matches!(standing, Standing::Absent | Standing::Foreign) {
        let others: Vec<String> = client.indices(&config.wildcard)?.into_iter().map(|index| index.name).collect();
        let others: Vec<String> = others.into_iter().filter(|name| !config.pattern.gives(name)).collect();
        for stranger in client.managed(&name, &others)?.1 {
            let why =
                format!("it is no index of {}: POST _plugins/_ism/remove/{stranger} saves it", config.pattern.as_str());
            steps.tell(Verdict::Kept(why), format!("that policy on {stranger}, which it will delete"));
        }
    }
    match verdict(standing, steps.force()) {
        verdict @ (Verdict::Put | Verdict::Update) => {
            let name = name.clone();
            steps.add(verdict, what, move || {
                client.put_policy(&name, &wanted, &found)?;
                client.change_policy(&name, &with)
            });
        }
        verdict @ Verdict::Refused(_) => {
            steps.tell(verdict, what);
            return Ok(());
        }
        verdict => steps.tell(verdict, what),
    }
    if !without.is_empty() {
        let what = format!("that policy on {} without one", counted_indices(without.len() as u64));
        steps.add(Verdict::Put, what, move || client.add_policy(&name, &without));
    }
    Ok(())
}

/// What becomes of something of ours, by what is there.
pub fn verdict(standing: Standing, force: bool) -> Verdict {
    match standing.refusal() {
        Some(_) if force => Verdict::Update,
        Some(why) => Verdict::Refused(why),
        None => match standing {
            Standing::Absent => Verdict::Put,
            Standing::Same => Verdict::Unchanged,
            _ => Verdict::Update,
        },
    }
}

/// Afterwards: what to know if a template of somebody else outranks ours.
///
/// # Errors
/// The server says no.
pub fn wins(config: &SetupConfig, client: &Client) -> Result<Option<String>> {
    let index = config.pattern.name(jiff::Timestamp::now().as_second());
    Ok(match client.template_for(&index)? {
        TemplateMatch::Foreign(other) => {
            Some(format!("note: the index template {other:?} has a higher priority, and shapes these indices instead"))
        }
        TemplateMatch::Ours(_) | TemplateMatch::None => None,
    })
}
