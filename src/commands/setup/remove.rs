//! What setup has put, taken away: in an order in which nothing comes back meanwhile.

use super::panels;
use super::steps::{Steps, Verdict};
use crate::config::setup::{Remove, SetupConfig};
use crate::dashboards::{self, TimeRange};
use crate::error::Result;
use crate::opensearch::alias::IndexFigures;
use crate::opensearch::policy::policy;
use crate::opensearch::template::AliasOrigin;
use crate::opensearch::{Client, Standing};
use crate::pipeline::report::figures::{counted, counted_indices, size};

/// Looks at what is there.
///
/// # Errors
/// The server says no.
pub fn plan<'c>(
    config: &'c SetupConfig,
    remove: Remove,
    client: &'c Client,
    server: Option<&'c Client>,
    steps: &mut Steps<'c>,
) -> Result<()> {
    let mut indices = client.indices(&config.wildcard)?;
    indices.retain(|index| config.pattern.gives(&index.name));
    let names: Vec<String> = indices.iter().map(|index| index.name.clone()).collect();
    if let Some(server) = server {
        plan_dashboard(config, server, steps)?;
    }
    plan_policy(config, client, &names, steps)?;
    let is_ours = plan_template(config, client, steps)?;
    if is_ours || steps.force() {
        plan_alias(config, client, &names, steps)?;
    }
    if remove.indices {
        plan_indices(client, indices, names, steps);
    } else if !indices.is_empty() {
        let why = "--indices would delete them".to_owned();
        steps.tell(Verdict::Kept(why), format!("{}, {}", how_many(&indices), config.wildcard));
    }
    Ok(())
}

fn plan_dashboard<'c>(config: &SetupConfig, server: &'c Client, steps: &mut Steps<'c>) -> Result<()> {
    let id = config.name();
    let time = TimeRange { from: String::new(), to: String::new() };
    let mut objects = panels::dashboard(config, &id, time).objects();
    let found = server.saved_objects(&panels::wanted(&objects))?;
    let address = server.addresses().next().expect("a client has a host");
    let what = format!("dashboard \"{}\" at {address}", panels::title(&objects));
    let mut there = found.iter();
    objects.retain(|object| match there.next().expect("as many as were asked for") {
        None => false,
        Some(found) if object.standing(found) == dashboards::Standing::Foreign && !steps.force() => {
            let why = "it was not made by loghaul".to_owned();
            steps.tell(Verdict::Kept(why), format!("{} {:?} of Dashboards", object.kind, object.id));
            false
        }
        Some(_) => true,
    });
    if objects.is_empty() {
        steps.tell(Verdict::Absent, what);
    } else {
        let what = format!("{what} ({} objects)", objects.len());
        steps.add(Verdict::Remove, what, move || {
            // What refers to others goes before them.
            objects.iter().rev().try_for_each(|object| server.delete_saved_object(object.kind, &object.id))
        });
    }
    Ok(())
}

fn plan_policy<'c>(
    config: &'c SetupConfig,
    client: &'c Client,
    indices: &[String],
    steps: &mut Steps<'c>,
) -> Result<()> {
    let name = config.name();
    let what = format!("ISM policy {name:?}");
    let wanted = policy(config.pattern.as_str(), 24);
    match client.find_policy(&name, &wanted)?.map(|found| found.standing) {
        // Most clusters have none: not worth a line.
        None | Some(Standing::Absent) => {}
        Some(Standing::Foreign) if !steps.force() => steps.tell(Verdict::Kept(not_ours()), what),
        Some(_) => {
            let (_, with) = client.managed(&name, indices)?;
            steps.add(Verdict::Remove, what, move || client.delete_policy(&name, &with));
        }
    }
    Ok(())
}

/// Tells whether the template is ours, or gone.
fn plan_template<'c>(config: &'c SetupConfig, client: &'c Client, steps: &mut Steps<'c>) -> Result<bool> {
    let name = config.name();
    let what = format!("index template {name:?}");
    match client.find_template(&name, &super::put::template(config))? {
        Standing::Absent => steps.tell(Verdict::Absent, what),
        Standing::Foreign if !steps.force() => {
            steps.tell(Verdict::Kept(not_ours()), what);
            return Ok(false);
        }
        _ => steps.add(Verdict::Remove, what, move || client.delete_template(&name)),
    }
    Ok(true)
}

fn plan_alias<'c>(config: &'c SetupConfig, client: &'c Client, names: &[String], steps: &mut Steps<'c>) -> Result<()> {
    let Some(alias) = &config.alias else { return Ok(()) };
    let behind: Vec<String> = client.behind(alias)?.into_iter().filter(|index| names.contains(index)).collect();
    let what = format!("alias {alias:?}");
    let kept = match client.alias_in_template(&config.name(), alias)? {
        _ if steps.force() => None,
        AliasOrigin::Ours => None,
        AliasOrigin::ByHand => Some("it was there before setup; --force takes it away as well"),
        AliasOrigin::NotNamed => Some("no template of ours gives it; --force takes it away as well"),
    };
    match kept {
        _ if behind.is_empty() => steps.tell(Verdict::Absent, what),
        Some(why) => steps.tell(Verdict::Kept(why.to_owned()), what),
        None => steps.add(Verdict::Remove, what, move || client.move_alias(alias, &[], &behind)),
    }
    Ok(())
}

fn plan_indices<'c>(client: &'c Client, indices: Vec<IndexFigures>, names: Vec<String>, steps: &mut Steps<'c>) {
    match (indices.first(), indices.last()) {
        (Some(first), Some(last)) => {
            let range = if names.len() == 1 { first.name.clone() } else { format!("{} to {}", first.name, last.name) };
            let what = format!("{}, {range}", how_many(&indices));
            steps.add(Verdict::Remove, what, move || client.delete_indices(&names));
        }
        _ => steps.tell(Verdict::Absent, "indices"),
    }
}

fn how_many(indices: &[IndexFigures]) -> String {
    let documents: u64 = indices.iter().map(|index| index.documents).sum();
    let bytes: u64 = indices.iter().map(|index| index.bytes).sum();
    let number = counted_indices(indices.len() as u64);
    format!("{number} with {}, {}", counted(documents, "document"), size(bytes))
}

fn not_ours() -> String {
    "it was not made by loghaul".to_owned()
}
