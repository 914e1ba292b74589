//! `loghaul setup`: the index template that the documents need.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli;
use crate::commands::load::client_options;
use crate::config::{self, Surroundings};
use crate::error::{Error, Result, io_reason};
use crate::opensearch::{Client, PutTemplate};
use crate::schema::{self, Schema};

/// Puts the template, or prints it.
///
/// # Errors
/// The cluster cannot be reached, or refuses.
pub fn setup(args: &cli::SetupArgs) -> Result<u8> {
    let config = config::setup(args, &Surroundings::of_this_process())?;
    let said = match &config.server {
        None => {
            let template = template(&config.index_wildcard, Schema::Grok);
            serde_json::to_string_pretty(&template).expect("a template is JSON")
        }
        Some(server) => {
            let client = Client::new(client_options(server)?)?;
            client.info()?;
            let name = template_name(&config.index_wildcard);
            let wildcard = &config.index_wildcard;
            match put_template(&client, wildcard, Schema::Grok)? {
                PutTemplate::Created => format!("put the index template {name:?} for {wildcard}"),
                PutTemplate::Updated => format!("updated the index template {name:?} for {wildcard}"),
                PutTemplate::Unchanged => format!("the index template {name:?} for {wildcard} is there already"),
            }
        }
    };
    match writeln!(io::stdout(), "{said}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("cannot write to standard output: {}", io_reason(&error))))
        }
        _ => Ok(0),
    }
}

/// Puts our template for the indices that `wildcard` matches, unless the same is there.
///
/// # Errors
/// The cluster refuses, or a template of that name is not ours.
pub fn put_template(client: &Client, wildcard: &str, schema: Schema) -> Result<PutTemplate> {
    client.put_template(&template_name(wildcard), &template(wildcard, schema))
}

fn template(wildcard: &str, schema: Schema) -> Value {
    schema::template(&schema::Template { wildcard, schema, lean: false, shards: None, replicas: None, alias: None })
}

/// `apache-access-log-*` has the template `loghaul-apache-access-log`. Other wildcards have other names: a star, which a
/// name may not have, becomes `+` in any other place.
fn template_name(wildcard: &str) -> String {
    format!("loghaul-{}", wildcard.strip_suffix("-*").unwrap_or(wildcard).replace('*', "+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wildcard_has_a_template_of_its_own() {
        for (wildcard, name) in [
            ("apache-access-log-*", "loghaul-apache-access-log"),
            ("web*", "loghaul-web+"),
            ("web", "loghaul-web"),
            ("a-*-b", "loghaul-a-+-b"),
        ] {
            assert_eq!(template_name(wildcard), name);
        }
    }
}
