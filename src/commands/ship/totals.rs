//! [`Totals`]: what became of each body, and the law: documents in the manifest = indexed + duplicate + rejected +
//! damaged + unsettled.

use std::path::{Path, PathBuf};

use crate::pipeline::report::{Ended, Outcomes};
use crate::pipeline::sink::destination::Stats;
use crate::pipeline::sink::directory::manifest::Manifest;

/// What became of a body's documents, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Created.
    pub indexed: u64,
    /// Part of it: sent, no answer, and found there.
    pub confirmed: u64,
    /// Were there already.
    pub duplicate: u64,
    /// Refused for good.
    pub rejected: u64,
}

impl From<Outcomes> for Outcome {
    fn from(outcomes: Outcomes) -> Outcome {
        let Outcomes { indexed, confirmed, duplicate, rejected } = outcomes;
        Outcome { indexed, confirmed, duplicate, rejected }
    }
}

/// One body.
#[derive(Clone, Debug, Default)]
pub struct BodyTotals {
    /// Its name.
    pub file: String,
    /// What the manifest says.
    pub documents: u64,
    /// Likewise, on disk.
    pub stored_bytes: u64,
    /// Once all of its documents have an outcome.
    pub outcomes: Option<Outcome>,
    /// An earlier ship sent it.
    pub earlier: bool,
    /// Why it cannot be sent.
    pub trouble: Option<String>,
}

/// All bodies.
#[derive(Debug)]
pub struct Totals {
    /// The directory.
    pub path: PathBuf,
    /// In the manifest's order.
    pub bodies: Vec<BodyTotals>,
    /// Documents, as the manifest's own sum: counted apart from the bodies.
    pub documents: u64,
    /// How many documents whole bodies held that were only checked.
    pub checked: Option<u64>,
    /// Bodies that the manifest does not name.
    pub strangers: Vec<String>,
    /// Whether the last load did not come to its end.
    pub partial: bool,
    /// Some documents have no ids of ours.
    pub without_ids: bool,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// How it came to its end.
    pub ended: Ended,
    /// How long it took.
    pub seconds: f64,
    /// What it took.
    pub stats: Stats,
    /// Where rejected documents are.
    pub dead_letters: Option<PathBuf>,
}

/// Terms of the law, in documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Settled ones.
    pub outcome: Outcome,
    /// In bodies that are missing or damaged.
    pub damaged: u64,
    /// In bodies that were not sent, or not all of them.
    pub unsettled: u64,
    /// In bodies that an earlier ship settled: part of the settled ones.
    pub earlier: u64,
}

impl Totals {
    /// Nothing sent yet.
    pub fn of(path: &Path, manifest: &Manifest) -> Totals {
        let bodies = manifest.bodies.iter().map(|body| BodyTotals {
            file: body.line.file.clone(),
            documents: body.line.documents,
            stored_bytes: body.line.stored_bytes,
            ..BodyTotals::default()
        });
        // A complete load's own count, from its lines; else what its bodies say.
        let of_run = |run: &u32| match manifest.ends.get(run) {
            Some(end) => end.documents,
            None => manifest.documents_of(*run),
        };
        Totals {
            path: path.to_owned(),
            bodies: bodies.collect(),
            documents: manifest.runs.keys().map(of_run).sum(),
            checked: None,
            strangers: Vec::new(),
            partial: manifest.unfinished().is_some(),
            without_ids: false,
            notes: Vec::new(),
            ended: Ended::Complete,
            seconds: 0.0,
            stats: Stats::default(),
            dead_letters: None,
        }
    }

    /// Bytes of the bodies that wait to be sent.
    pub fn stored_bytes_to_send(&self) -> u64 {
        self.bodies.iter().filter(|body| body.outcomes.is_none()).map(|body| body.stored_bytes).sum()
    }

    /// The terms.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for body in &self.bodies {
            match (&body.outcomes, &body.trouble) {
                (Some(outcome), _) => {
                    sums.outcome.indexed += outcome.indexed;
                    sums.outcome.confirmed += outcome.confirmed;
                    sums.outcome.duplicate += outcome.duplicate;
                    sums.outcome.rejected += outcome.rejected;
                    sums.earlier += if body.earlier { body.documents } else { 0 };
                }
                (None, Some(_)) => sums.damaged += body.documents,
                (None, None) => sums.unsettled += body.documents,
            }
        }
        sums
    }

    /// Whether each document has become exactly one thing.
    pub fn law_holds(&self) -> bool {
        let Sums { outcome, damaged, unsettled, .. } = self.sums();
        let complete = self.ended == Ended::Complete && self.checked.is_none();
        self.documents == outcome.indexed + outcome.duplicate + outcome.rejected + damaged + unsettled
            && (!complete || unsettled == 0)
    }

    /// Bodies with something wrong.
    pub fn damaged(&self) -> impl Iterator<Item = (&str, &str)> {
        let wrong = self.bodies.iter().filter(|body| body.outcomes.is_none());
        wrong.filter_map(|body| Some((body.file.as_str(), body.trouble.as_deref()?)))
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match &self.ended {
            Ended::Interrupted(_) => 130,
            Ended::Failed(error) => error.exit_code(),
            _ if !self.law_holds() || self.damaged().next().is_some() => 1,
            _ if self.sums().outcome.rejected > 0 => 3,
            _ => 0,
        }
    }
}
