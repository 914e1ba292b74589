//! The policy of `setup --delete-after`, put on the indices that loads have made. No wildcard does that on the cluster's
//! side: see `opensearch/policy.rs`.

use crate::config::setup::resource_name;
use crate::error::Result;
use crate::opensearch::Client;
use crate::pipeline::report::figures::counted_indices;
use crate::pipeline::serialize::IndexPattern;

/// Puts the policy on all indices of the pattern that have none, if there is one: also on those of a load that was
/// killed. What the user should know comes back.
pub fn put_policy_on_new(client: &Client, pattern: &str, wildcard: &str) -> Option<String> {
    let name = resource_name(wildcard);
    // Most clusters have none; and a user who may only write may not ask, which `setup` has told whoever set it up.
    if !client.has_policy(&name).unwrap_or(false) {
        return None;
    }
    match put(client, &name, pattern, wildcard) {
        Ok(0) => None,
        Ok(new) => Some(format!("the ISM policy {name} is on {} that had none", counted_indices(new))),
        Err(error) => Some(format!(
            "the ISM policy {name} is not on each index, and what it is not on is not deleted by age: {error}; \
             somebody with the right to should run loghaul setup --delete-after"
        )),
    }
}

fn put(client: &Client, name: &str, pattern: &str, wildcard: &str) -> Result<u64> {
    let pattern = IndexPattern::new(pattern)?;
    let indices = client.indices(wildcard)?.into_iter().map(|index| index.name);
    let (without, _) = client.managed(name, &indices.filter(|index| pattern.gives(index)).collect::<Vec<_>>())?;
    client.add_policy(name, &without)?;
    Ok(without.len() as u64)
}
