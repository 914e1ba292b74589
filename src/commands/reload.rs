//! `loghaul reload`: a whole new generation of the data beside the one in use, and then the alias moves there at once.
//! `loghaul rollback`: back to the one before.
//!
//! The load is a load like any other, into indices that only this generation has: with the ledger, dead letters and the
//! profile. What is added is the end: the alias moves only if everything was loaded, and the cluster says the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cli;
use crate::commands::load::{self, client_options};
use crate::commands::output;
use crate::commands::restore::{self, cluster_of};
use crate::config::reload::{Name, ReloadConfig};
use crate::config::{self, LedgerConfig, Resume, Surroundings};
use crate::error::{Error, Result};
use crate::ledger::{FileState, Ledger, RunRecord, RunState, RunTotals};
use crate::opensearch::generations::{Generation, Mark, STAMP, Stage, Target};
use crate::opensearch::{Client, Unable};
use crate::pipeline::report::Report;
use crate::pipeline::report::figures::{counted, grouped};

/// How long a cluster that does not answer is asked again at the end, when all is loaded.
const PATIENCE: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// When the alias may move, and what is done then.
struct Rules<'a> {
    name: &'a Name,
    min_ratio: f64,
    keep: usize,
    adopt: bool,
}

/// Loads a new generation and moves the alias, or tells, or deletes what was interrupted. Gives the exit code.
///
/// # Errors
/// What is wrong before the first byte is read.
pub fn reload(args: &cli::ReloadArgs) -> Result<u8> {
    let mut config = config::reload::reload(args, &Surroundings::of_this_process())?;
    let LedgerConfig::On { path, resume, .. } = &config.load.ledger else { unreachable!("a reload has a ledger") };
    let (ledger, resume) = (Ledger::open(path)?, resume.clone());
    let client = Client::new(client_options(&config.server)?)?;
    let cluster = cluster_of(&client, &ledger, &config.server.urls)?;
    let rules =
        Rules { name: &config.name.clone(), min_ratio: config.min_ratio, keep: config.keep, adopt: config.adopt };
    let runs = runs_of(&ledger, &cluster, &config.name.alias)?;
    if let Some((_, run)) = runs.iter().find(|(_, run)| run.state == RunState::Running) {
        let alias = &config.name.alias;
        return Err(Error::failed(format!("a reload of {alias} is at work: run {}, process {}", run.id, run.pid))
            .hint("wait for its end, or end that process"));
    }
    let target = client.alias_target(&config.name.alias).map_err(|unable| unable.error)?;
    let generations = client.generations(&config.name.alias).map_err(|unable| unable.error)?;
    if config.abort {
        return abort(&client, &ledger, &config, &target, &generations, &runs);
    }
    rules.may_take_over(&target, &generations)?;
    let mark = match &resume {
        None => new_mark(&config.name.alias, &generations, &runs),
        Some(which) => {
            let (mark, run) = rules.interrupted(which, runs, &target, &generations)?;
            if let LedgerConfig::On { resume, .. } = &mut config.load.ledger {
                *resume = Some(Resume::Run(run.id.to_string()));
            }
            if run.state == RunState::Complete {
                return only_settle(&client, &ledger, &rules, &mark, &run, config.dry_run);
            }
            mark
        }
    };
    config.load.writing.index = mark.index_pattern(&config.name.parts);
    if config.dry_run {
        return tell(&rules.plan(&client, &mark, &target, &generations)?);
    }
    let settle = |client: &Client, report: &mut Report| rules.settle_report(client, &ledger, &mark, report);
    load::run(&config.load, Some(load::Generation { mark: mark.clone(), settle: Box::new(settle) }))
}

/// The mark of a generation that is not there yet. Stamps have seconds: two small reloads in one second must not share
/// a generation, so a stamp that is taken moves on to the next second.
fn new_mark(alias: &str, generations: &[Generation], runs: &[(Mark, RunRecord)]) -> Mark {
    let mut time = Timestamp::now();
    loop {
        let stamp = time.strftime(STAMP).to_string();
        let taken = generations.iter().any(|generation| generation.stamp == stamp)
            || runs.iter().any(|(mark, _)| mark.stamp == stamp);
        if !taken {
            return Mark { alias: alias.to_owned(), stamp };
        }
        time += jiff::SignedDuration::from_secs(1);
    }
}

/// The runs of the ledger that loaded generations of an alias, the newest first.
fn runs_of(ledger: &Ledger, cluster: &str, alias: &str) -> Result<Vec<(Mark, RunRecord)>> {
    let runs = ledger.runs()?.into_iter().filter(|run| run.destination.cluster == cluster);
    Ok(runs.filter_map(|run| Some((Mark::of_pattern(alias, &run.destination.index_pattern)?, run))).collect())
}

/// The stamps of the generations that the alias stands for.
fn in_use(target: &Target, generations: &[Generation]) -> BTreeSet<String> {
    let Target::Alias(indices) = target else { return BTreeSet::new() };
    let used =
        generations.iter().filter(|generation| generation.indices.iter().any(|index| indices.contains_key(index)));
    used.map(|generation| generation.stamp.clone()).collect()
}

impl Rules<'_> {
    /// Refuses to take the place of what is not ours, unless that was asked for.
    fn may_take_over(&self, target: &Target, generations: &[Generation]) -> Result<()> {
        let alias = &self.name.alias;
        match target {
            Target::Nothing => Ok(()),
            Target::DataStream => Err(Error::failed(format!("{alias} is a data stream: no alias can bear its name"))
                .hint("reload under another name")),
            Target::Index if self.adopt => Ok(()),
            Target::Index => Err(Error::failed(format!("{alias} is an index, not an alias"))
                .hint("--adopt deletes it in the moment in which the alias takes its place; or choose another name")),
            Target::Alias(indices) => {
                let is_ours = |index: &String| generations.iter().any(|generation| generation.indices.contains(index));
                match indices.keys().find(|index| !is_ours(index)) {
                    Some(other) if !self.adopt => {
                        Err(Error::failed(format!("the alias {alias} stands for {other}, which no reload has made"))
                            .hint("--adopt takes the alias from it; the index itself stays"))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// The run to go on with: the newest, if it is newer than what the alias stands for, or the one named.
    fn interrupted(
        &self,
        which: &Resume,
        runs: Vec<(Mark, RunRecord)>,
        target: &Target,
        generations: &[Generation],
    ) -> Result<(Mark, RunRecord)> {
        let alias = &self.name.alias;
        let used: Vec<Mark> = match target {
            Target::Alias(indices) => indices.keys().filter_map(|index| Mark::of_pattern(alias, index)).collect(),
            _ => Vec::new(),
        };
        let found = runs.into_iter().find(|(mark, run)| match which {
            Resume::Latest => used.iter().all(|used| used.stamp < mark.stamp),
            Resume::Run(id) => run.id.to_string() == *id,
        });
        let none = || {
            Error::usage(format!("no reload of {alias} waits to go on"))
                .hint("see `loghaul runs`, or leave --resume away")
        };
        let (mark, run) = found.ok_or_else(none)?;
        if used.contains(&mark) {
            return Err(none());
        }
        // Whoever went back did not like what he saw, and whoever resumes every night does not know of it.
        let left = generations.iter().any(|generation| generation.stamp == mark.stamp && generation.rolled_back);
        if left && *which == Resume::Latest {
            return Err(Error::usage(format!("{alias} was rolled back from generation {}, the newest", mark.stamp))
                .hint(format!(
                    "leave --resume away to load anew; --resume {} goes forward to it all the same",
                    run.id
                )));
        }
        let parts = run.destination.index_pattern[alias.len() + 1 + mark.stamp.len()..].to_owned();
        if parts != self.name.parts {
            return Err(
                Error::usage(format!("run {} was begun as {alias}{parts}", run.id)).hint("give it the same NAME")
            );
        }
        Ok((mark, run))
    }

    /// What would be done, in sentences.
    fn plan(&self, client: &Client, mark: &Mark, target: &Target, generations: &[Generation]) -> Result<String> {
        let alias = &self.name.alias;
        let mut text = format!("would load into {}\n", mark.index_pattern(&self.name.parts));
        let now = match target {
            Target::Nothing => format!("{alias} is not there yet: it becomes an alias for it\n"),
            Target::DataStream => unreachable!("refused before"),
            Target::Index => format!(
                "then the index {alias} ({}) is deleted, and an alias takes its place\n",
                counted(client.count(alias).map_err(|unable| unable.error)?, "document")
            ),
            Target::Alias(indices) => format!(
                "then the alias {alias} moves there from {} ({}), if there are at least {:.0} % as many documents\n",
                indices.keys().cloned().collect::<Vec<_>>().join(", "),
                counted(client.count(alias).map_err(|unable| unable.error)?, "document"),
                self.min_ratio * 100.0
            ),
        };
        text.push_str(&now);
        let used = in_use(target, generations);
        for old in self.surplus(generations, &used, &mark.stamp) {
            text.push_str(&format!("then deletes {}\n", old.indices.join(", ")));
        }
        for open in generations.iter().filter(|generation| !generation.complete && generation.stamp != mark.stamp) {
            text.push_str(&format!("leaves {}: half loaded (--resume, --abort)\n", open.indices.join(", ")));
        }
        Ok(text)
    }

    /// The complete generations that are not to be kept: all but the newest, the one that was in use before counted
    /// as the newest of them. Newer ones than `stamp` are somebody else's affair.
    fn surplus<'g>(&self, generations: &'g [Generation], used: &BTreeSet<String>, stamp: &str) -> Vec<&'g Generation> {
        let mut older: Vec<&Generation> =
            generations.iter().filter(|generation| generation.complete && generation.stamp.as_str() < stamp).collect();
        older.sort_by_key(|generation| (used.contains(&generation.stamp), generation.stamp.clone()));
        let surplus = older.len().saturating_sub(self.keep - 1);
        older.truncate(surplus);
        older
    }

    /// The end of a load: moves the alias if it may, and says so in the report.
    fn settle_report(&self, client: &Client, ledger: &Ledger, mark: &Mark, report: &mut Report) {
        let alias = &self.name.alias;
        let code = report.exit_code();
        if code != 0 {
            report.note(format!(
                "the alias {alias} was left as it is, for the load did not end well (exit code {code}); the new generation \
                 {} waits for --resume or --abort",
                mark.stamp
            ));
            return;
        }
        let totals = report.run.map(|run| ledger.run(run).map(|run| run.totals));
        let settled = totals
            .expect("a reload has a run")
            .and_then(|totals| whole(ledger, report.run.unwrap_or_default()).map(|()| totals))
            .and_then(|totals| self.settle(client, mark, &totals));
        match settled {
            Ok(notes) => notes.into_iter().for_each(|note| report.note(note)),
            Err(error) => report.failed(error),
        }
    }

    /// Counts, compares, moves the alias, deletes what is old. What was done comes back in sentences.
    ///
    /// # Errors
    /// The alias was left as it is.
    fn settle(&self, client: &Client, mark: &Mark, totals: &RunTotals) -> Result<Vec<String>> {
        let alias = &self.name.alias;
        let stays = |why: String| {
            Error::failed(format!("the alias {alias} was left as it is: {why}")).hint(format!(
                "the new generation {} stays: --resume with another --min-ratio takes it, --abort deletes it",
                mark.stamp
            ))
        };
        let counts = &totals.counts;
        if counts.rejected > 0 || totals.failed > 0 || totals.gone > 0 {
            return Err(stays(format!(
                "{} rejected, {} failed or gone",
                counted(counts.rejected, "document"),
                counted(totals.failed + totals.gone, "source")
            )));
        }
        let generations = patiently(|| client.generations(alias))?;
        let Some(new) = generations.iter().find(|generation| generation.stamp == mark.stamp) else {
            return Err(stays("nothing was loaded, and it would be empty".to_owned()));
        };
        let mut documents = 0;
        for index in &new.indices {
            patiently(|| client.refresh(index))?;
            documents += patiently(|| client.count(index))?;
        }
        // Equal lines share an id where it is made of content; then the second one is a duplicate of our own.
        if !(counts.indexed..=counts.indexed + counts.duplicate).contains(&documents) {
            return Err(stays(format!(
                "the cluster counts {} in it, but {} were indexed",
                counted(documents, "document"),
                grouped(counts.indexed)
            )));
        }
        if documents == 0 {
            return Err(stays("nothing was loaded, and it would be empty".to_owned()));
        }
        let mut target = patiently(|| client.alias_target(alias))?;
        self.may_take_over(&target, &generations)?;
        let before = if target == Target::Nothing { 0 } else { patiently(|| client.count(alias))? };
        if (documents as f64) < before as f64 * self.min_ratio {
            return Err(stays(format!(
                "{} are {:.1} % of the {} there are now, and --min-ratio asks for {:.1} %",
                counted(documents, "document"),
                documents as f64 / before as f64 * 100.0,
                grouped(before),
                self.min_ratio * 100.0
            )));
        }
        patiently(|| client.mark_stage(mark, &new.indices, Stage::Complete))?;
        let used = in_use(&target, &generations);
        patiently(|| move_alias(client, alias, &mut target, &new.indices))?;
        let mut notes = vec![format!(
            "the alias {alias} moved to generation {}: {}, {} before",
            mark.stamp,
            counted(documents, "document"),
            grouped(before)
        )];
        for old in self.surplus(&generations, &used, &mark.stamp) {
            notes.push(match delete(client, &old.indices) {
                Ok(()) => format!("generation {} is deleted ({} are kept)", old.stamp, self.keep),
                Err(error) => format!("generation {} is to be deleted, and is not: {}", old.stamp, error.message),
            });
        }
        let open = generations.iter().filter(|generation| !generation.complete && generation.stamp != mark.stamp);
        notes.extend(open.map(|open| {
            format!(
                "generation {} was interrupted half loaded: `loghaul reload {alias} --abort` deletes it",
                open.stamp
            )
        }));
        Ok(notes)
    }
}

/// Moves the alias. After a lost answer it may have moved already.
fn move_alias(client: &Client, alias: &str, from: &mut Target, indices: &[String]) -> Result<(), Unable> {
    let Err(unable) = client.swap_alias(alias, from, indices) else { return Ok(()) };
    if !unable.passes {
        return Err(unable);
    }
    *from = client.alias_target(alias)?;
    match from {
        Target::Alias(now) if now.len() == indices.len() && indices.iter().all(|index| now.contains_key(index)) => {
            Ok(())
        }
        _ => Err(unable),
    }
}

fn delete(client: &Client, indices: &[String]) -> Result<()> {
    indices.iter().try_for_each(|index| patiently(|| client.delete_index(index)))
}

/// Asks again, for a while, what the cluster cannot say or do right now.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, Unable>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(found) => return Ok(found),
            Err(unable) if !unable.passes || Instant::now() >= deadline => return Err(unable.error),
            Err(_) => std::thread::sleep(ASK_EVERY),
        }
    }
}

/// Whether no source of a run, in all its parts, was damaged. A part that goes on leaves out what an earlier
/// one has found damaged, and knows no more of it.
fn whole(ledger: &Ledger, run: i64) -> Result<()> {
    let mut damaged = None;
    ledger.files(run, |file| {
        if file.state == FileState::Damaged {
            damaged.get_or_insert(file.path);
        }
        Ok(())
    })?;
    match damaged {
        None => Ok(()),
        Some(path) => Err(Error::failed(format!("the alias was left as it is: {} is damaged", path.display()))
            .hint("mend the file and reload anew; --abort deletes what was loaded")),
    }
}

/// A load that had come to its end, but the alias did not move: only that is left to do.
fn only_settle(
    client: &Client,
    ledger: &Ledger,
    rules: &Rules<'_>,
    mark: &Mark,
    run: &RunRecord,
    dry_run: bool,
) -> Result<u8> {
    if dry_run {
        return tell(&format!(
            "run {} is complete: would only compare generation {} and move the alias\n",
            run.id, mark.stamp
        ));
    }
    if run.exit_code != Some(0) {
        let code = run.exit_code.map_or("unknown".to_owned(), |code| code.to_string());
        return Err(Error::failed(format!(
            "the alias {} was left as it is: run {} did not end well (exit code {code})",
            rules.name.alias, run.id
        ))
        .hint("mend what it told of and reload anew; --abort deletes what it loaded"));
    }
    whole(ledger, run.id)?;
    let mut notes = own_settings(client, ledger, run, mark)?;
    notes.extend(rules.settle(client, mark, &run.totals)?);
    tell(&notes.iter().map(|note| format!("{note}\n")).collect::<String>())
}

/// Puts back the settings that a load which was killed between its last document and its end has left on the indices of
/// its generation: nobody should search one that has no replicas and does not refresh.
fn own_settings(client: &Client, ledger: &Ledger, run: &RunRecord, mark: &Mark) -> Result<Vec<String>> {
    let is_of_it = |index: &str| Mark::of_pattern(&mark.alias, index).as_ref() == Some(mark);
    let cluster = &run.destination.cluster;
    let notes = restore::put_back_leftovers(client, ledger, cluster, |index| !is_of_it(index))?;
    let left = ledger.profiles()?.into_iter().find(|(left, _)| left.cluster == *cluster && is_of_it(&left.index));
    match left {
        None => Ok(notes),
        Some((left, _)) => {
            let why = notes.last().cloned().unwrap_or_else(|| format!("{} is loaded by somebody", left.index));
            Err(Error::failed(format!("the alias {} was left as it is: {why}", mark.alias))
                .hint("--resume tries again once the index has its own settings"))
        }
    }
}

/// Deletes the generations of this ledger that the alias does not stand for and that were not completed, and forgets
/// their runs: nobody can go on with them.
fn abort(
    client: &Client,
    ledger: &Ledger,
    config: &ReloadConfig,
    target: &Target,
    generations: &[Generation],
    runs: &[(Mark, RunRecord)],
) -> Result<u8> {
    let used = in_use(target, generations);
    let known = |generation: &&Generation| runs.iter().any(|(mark, _)| mark.stamp == generation.stamp);
    let (mine, others): (Vec<_>, Vec<_>) = generations
        .iter()
        .filter(|generation| !generation.complete && !used.contains(&generation.stamp))
        .partition(known);
    let mut text = String::new();
    for generation in &mine {
        if !config.dry_run {
            delete(client, &generation.indices)?;
        }
        let word = if config.dry_run { "would delete" } else { "deleted" };
        text.push_str(&format!("{word} {}\n", generation.indices.join(", ")));
    }
    let is_over = |mark: &Mark| {
        let left = generations.iter().find(|generation| generation.stamp == mark.stamp);
        left.is_none_or(|left| !left.complete && !used.contains(&left.stamp))
    };
    for (_, run) in runs.iter().filter(|(mark, _)| !config.dry_run && is_over(mark)) {
        ledger.forget(run.id)?;
    }
    for generation in others {
        let indices = generation.indices.join(", ");
        text.push_str(&format!("left {indices}: not in this ledger, so it may be at work elsewhere\n"));
    }
    if text.is_empty() {
        text = format!("no interrupted reload of {}\n", config.name.alias);
    }
    tell(&text)
}

/// Moves the alias back to the generation before the one in use, and gives the exit code.
///
/// # Errors
/// There is none, or the cluster refuses.
pub fn rollback(args: &cli::RollbackArgs) -> Result<u8> {
    let config = config::reload::rollback(args, &Surroundings::of_this_process())?;
    let alias = &config.alias;
    let client = Arc::new(Client::new(client_options(&config.server)?)?);
    client.info()?;
    let mut target = patiently(|| client.alias_target(alias))?;
    let generations = patiently(|| client.generations(alias))?;
    let used = in_use(&target, &generations);
    let Some(current) = used.iter().next() else {
        return Err(Error::failed(format!("{alias} is no alias of a generation that reload has made"))
            .hint("see what it stands for: GET /_alias"));
    };
    let before = generations.iter().rfind(|generation| generation.complete && generation.stamp < *current);
    let Some(before) = before else {
        return Err(Error::failed(format!("there is no generation of {alias} before {current}"))
            .hint("reload --keep says how many are kept"));
    };
    let now = patiently(|| client.count(alias))?;
    let mut then = 0;
    for index in &before.indices {
        then += patiently(|| client.count(index))?;
    }
    if !config.dry_run {
        patiently(|| move_alias(&client, alias, &mut target, &before.indices))?;
        let left = generations.iter().find(|generation| generation.stamp == *current).expect("it was in use");
        let mark = Mark { alias: alias.clone(), stamp: current.clone() };
        if let Err(error) = patiently(|| client.mark_stage(&mark, &left.indices, Stage::RolledBack)) {
            load::say(&format!(
                "warning: {}: a `reload --resume` before the next reload would move {alias} there again",
                error.message
            ));
        }
    }
    let word = if config.dry_run { "would move" } else { "moved" };
    tell(&format!(
        "{word} {alias} from generation {current} ({}) to {} ({})\n",
        counted(now, "document"),
        before.stamp,
        counted(then, "document")
    ))
}

fn tell(text: &str) -> Result<u8> {
    output::text(text).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(stamp: &str, complete: bool) -> Generation {
        Generation { stamp: stamp.into(), complete, indices: vec![format!("web-{stamp}")], ..Generation::default() }
    }

    #[test]
    fn the_one_that_was_in_use_is_kept_before_newer_ones() {
        let generations =
            [("1", true), ("2", true), ("3", false), ("4", true)].map(|(stamp, complete)| generation(stamp, complete));
        let name = Name { alias: "web".into(), parts: String::new() };
        let surplus = |keep, used: &str| {
            let rules = Rules { name: &name, min_ratio: 0.9, keep, adopt: false };
            let used = BTreeSet::from([used.to_owned()]);
            let found = rules.surplus(&generations, &used, "5");
            found.iter().map(|generation| generation.stamp.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(surplus(1, "4"), "1 2 4");
        assert_eq!(surplus(2, "4"), "1 2");
        assert_eq!(surplus(2, "2"), "1 4", "after a rollback");
        assert_eq!(surplus(3, "4"), "1");
        assert_eq!(surplus(9, "4"), "");
    }
}
