//! `loghaul setup`: what a cluster needs beside the documents, put, kept up to date, and taken away again.
//!
//! First everything is looked at, then told, then done: if one thing stands in the way, nothing is changed.

mod panels; // the dashboard
mod put; // template, alias, policy
mod remove; // all of it, backwards
mod steps; // what is to be done, told and done

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::{self, Print};
use crate::commands::load::client_options;
use crate::commands::output;
use crate::config::setup::{SetupConfig, alias_of, resource_name, setup as complete};
use crate::config::{Server, Surroundings};
use crate::error::{Error, Result};
use crate::escape::Safe;
use crate::opensearch::{self, Client, Standing, policy};
use crate::schema::{self, Schema};
use steps::Steps;

/// Sets up, or takes away, or prints.
///
/// # Errors
/// The cluster cannot be reached or refuses, or something that is not ours stands in the way.
pub fn setup(args: &cli::SetupArgs) -> Result<u8> {
    let around = Surroundings::of_this_process();
    let config = complete(args, &around)?;
    if let Some(what) = config.print {
        return output::json(print(&config, what)? + "\n").map(|()| 0);
    }
    let server = config.server.as_ref().expect("--to is there without --print");
    let client = connect(server)?;
    client.info()?;
    let dashboards = match &config.dashboards {
        None => None,
        Some(server) => {
            let mut options = opensearch::Options::new(vec![server.address.clone()]);
            (options.login, options.tls) = (server.login.clone(), server.tls.clone());
            let dashboards = Client::new(options)?;
            dashboards.dashboards_version()?;
            Some(dashboards)
        }
    };
    let mut steps = Steps::new(config.force);
    match config.remove {
        Some(remove) => {
            remove::plan(&config, remove, &client, dashboards.as_ref(), &mut steps)?;
            if !config.dry_run && steps.changes() > 0 && remove.ask {
                // Whoever can be asked also sees standard error.
                let _ = Safe::text(io::stderr()).write_all(steps.told(true).as_bytes());
                if !(around.confirm)("Take this away?")
                    .map_err(|error| Error::failed(format!("cannot ask: {error}")))?
                {
                    return say("nothing was changed").map(|()| 0);
                }
            }
        }
        None => {
            put::plan(&config, &client, &mut steps)?;
            if let Some(dashboards) = &dashboards {
                panels::plan(&config, &client, dashboards, &mut steps)?;
            }
        }
    }
    if config.dry_run {
        say(steps.told(true).trim_end())?;
        return Ok(u8::from(steps.is_refused()));
    }
    steps.run(say)?;
    if config.remove.is_none() {
        put::wins(&config, &client)?.map_or(Ok(()), |note| say(&note))?;
    }
    Ok(0)
}

fn connect(server: &Server) -> Result<Client> {
    for warning in &server.warnings {
        crate::commands::load::say(warning);
    }
    Client::new(client_options(server)?)
}

/// What `--print` prints, without a newline at its end.
fn print(config: &SetupConfig, what: Print) -> Result<String> {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("it is JSON");
    Ok(match what {
        Print::Template => pretty(&put::template(config)),
        Print::Policy => {
            let hours = config.delete_after_hours.expect("a policy is printed for an age");
            pretty(&policy::policy(config.pattern.as_str(), hours))
        }
        Print::Dashboards => {
            let client = config.server.as_ref().map(connect).transpose()?;
            let time = panels::time_range(client.as_ref(), config)?;
            panels::dashboard(config, &config.name(), time).ndjson().trim_end().to_owned()
        }
    })
}

fn say(line: &str) -> Result<()> {
    output::text(format!("{line}\n"))
}

/// Puts our template for the indices that `wildcard` matches as `setup` without flags does, unless the same is there.
///
/// # Errors
/// The cluster refuses, or a template of that name is not ours.
pub fn put_template(client: &Client, wildcard: &str, schema: Schema) -> Result<()> {
    let name = resource_name(wildcard);
    let mut alias = alias_of(wildcard);
    // With an index of that name each new index would be refused.
    if let Some(taken) = &alias
        && client.behind(taken)?.contains(taken)
    {
        alias = None;
    }
    let mut wanted = schema::template(&schema::Template {
        wildcard,
        schema,
        lean: false,
        shards: None,
        replicas: None,
        alias: alias.as_deref(),
    });
    if let Some(alias) = &alias {
        client.remember_alias(&name, alias, &mut wanted)?;
    }
    let standing = client.find_template(&name, &wanted)?;
    match standing {
        Standing::Same => Ok(()),
        Standing::Absent | Standing::Different => client.put_template(&name, &wanted),
        Standing::Newer(..) | Standing::Foreign => {
            let why = standing.refusal().expect("both have one");
            Err(Error::failed(format!("the index template {name:?} is left as it is: {why}"))
                .hint("loghaul setup --force replaces it"))
        }
    }
}
