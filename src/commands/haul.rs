//! What `load` and `parse` have in common: sources in, documents out, a report at the end.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use crate::cli;
use crate::commands::afterwards::Afterwards;
use crate::commands::index_watch::{self, IndexWatch, Verdict};
use crate::commands::only_new::OnlyNew;
use crate::commands::record::Record;
use crate::commands::signals;
use crate::commands::sources::{Listing, Seen};
use crate::config::documents::DocumentsConfig;
use crate::config::{Form, MemoryPlan, ReportConfig, SourcesConfig, Stream};
use crate::error::{Error, Result, io_reason};
use crate::escape::{self, Safe};
use crate::ledger::Run;
use crate::pipeline::parse::{Format, Malformed};
use crate::pipeline::report::collect::{FileProgress, Keep, Progress as Step};
use crate::pipeline::report::figures;
use crate::pipeline::report::json::{self, FilesSpool};
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::report::progress::Progress;
use crate::pipeline::report::summary::{self, Context};
use crate::pipeline::report::{Ended, FileReport, FileStatus, Report};
use crate::pipeline::serialize::mask::{self, Mask};
use crate::pipeline::serialize::{self, IdMode, IndexPattern, Plan};
use crate::pipeline::sink::Sink;
use crate::pipeline::stop::Stop;
use crate::pipeline::{self, reader};

/// The parts of a configuration that every haul needs.
pub struct Haul<'a> {
    /// Where lines come from.
    pub sources: &'a SourcesConfig,
    /// What becomes of them.
    pub documents: &'a DocumentsConfig,
    /// The index pattern.
    pub index: &'a str,
    /// Where ids come from.
    pub id: cli::Id,
    /// No action lines.
    pub documents_only: bool,
    /// Parser threads.
    pub threads: u32,
    /// Who may hold how much.
    pub memory: &'a MemoryPlan,
    /// What is told, and where.
    pub report: &'a ReportConfig,
}

/// Starts listening for signals and truncated files. To be called before anything slow.
///
/// # Errors
/// If the system refuses the handlers.
pub fn begin(to_stdout: bool) -> Result<Begun> {
    let stop = Arc::new(Stop::new());
    let hauling = Arc::new(AtomicBool::new(false));
    signals::listen(&stop, &hauling, to_stdout)?;
    pipeline::end_on_sigbus()
        .map_err(|error| Error::failed(format!("cannot watch for truncated files: {}", io_reason(&error))))?;
    Ok(Begun { stop, hauling })
}

/// A process that listens for signals.
pub struct Begun {
    /// The end of the run.
    pub stop: Arc<Stop>,
    hauling: Arc<AtomicBool>,
}

impl Begun {
    /// Lines are on their way: from now on a signal has something to finish.
    pub fn hauls(&self) {
        self.hauling.store(true, Ordering::Relaxed);
    }
}

/// Standard output, for documents.
///
/// # Errors
/// If there is none.
pub fn stdout() -> Result<File> {
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    let stdout = stdout.map_err(|error| Error::failed(format!("cannot use standard output: {}", io_reason(&error))))?;
    Ok(File::from(stdout))
}

impl Haul<'_> {
    /// Hauls everything into `sink`, and tells the ledger of it where there is a `record`.
    ///
    /// # Errors
    /// What is wrong before the first byte is read. Whatever comes later is in the report.
    pub fn run(
        &self,
        sink: &Sink<'_>,
        begun: &Begun,
        progress: &Progress,
        record: Option<Record>,
        mut watch: Option<IndexWatch>,
        keep: Keep,
    ) -> Result<Report> {
        let stop = &begun.stop;
        let options = self.options(keep.malformed.is_some())?;
        let spool = match self.report.form {
            Form::Text => None,
            Form::Json => Some(FilesSpool::new().map_err(|error| {
                Error::failed(format!("cannot make a temporary file for the report: {}", io_reason(&error)))
                    .hint("TMPDIR names the folder for it")
            })?),
        };
        let seen = Arc::new(Seen::default());
        let listing = Listing::of(self.sources, &seen, stop)?
            .without([&keep.malformed, &keep.dead_letters].into_iter().flatten().map(LinesFile::path));
        // Documents that are written in the order of their sources keep the order that was typed.
        let listing = if options.readers == 1 && !sink.is_ordered() { listing.with_stdin_last() } else { listing };
        let report = Report::new(self.report.max_malformed, spool);
        let afterwards = self.sources.after.as_ref().map(Afterwards::new);
        let taker = afterwards.as_ref().map(Afterwards::sender);
        let beside: Vec<LinesFile> = [&keep.malformed, &keep.dead_letters].into_iter().flatten().cloned().collect();
        let (sources, mut run) = match record {
            None => (OnlyNew::all(listing), None),
            Some(mut record) => {
                if let Some(taker) = taker.clone() {
                    record.on_settled(Box::new(move |object| drop(taker.send(Arc::clone(object)))));
                }
                let (sources, run) = record.sources(listing, stop);
                (sources, Some(run))
            }
        };
        if self.report.verbose > 0 {
            for (holder, bytes) in self.memory.holders() {
                progress.message(&format!("memory: {holder} {}", figures::size(bytes)));
            }
        }
        begun.hauls();
        let mut report = pipeline::run(sources, sink, &options, stop, report, keep, |step| {
            match &step {
                Step::Tick(now) => progress.update(now),
                Step::Done(file) if self.report.verbose > 0 => progress.message(&done(file)),
                Step::Done(_) | Step::NotOpened(_) | Step::Watermark(_) => {}
            }
            if let Some(watch) = &mut watch {
                if let Step::Watermark(file) | Step::Done(file) = &step {
                    watch.progress(file);
                }
                run.iter_mut().for_each(|run| learn_indices(run, watch));
            }
            let Some(run) = &mut run else { return Ok(()) };
            run.progress(&step)?;
            if let (Step::Done(file), Some(taker)) = (&step, &taker)
                && let Some(object) = &file.file.object
                && self.lasts(file.report, &beside)
            {
                run.store()?;
                let _ = taker.send(Arc::clone(object));
            }
            Ok(())
        });
        drop(taker);
        progress.finish();
        if let Some(watch) = &mut watch {
            let Verdict { lost, note } = watch.finish(report.ended != Ended::Complete);
            run.iter_mut().for_each(|run| learn_indices(run, watch));
            if !lost.is_empty() {
                let error = index_watch::lost(&lost);
                if !matches!(&report.ended, Ended::Failed(told) if *told == error) {
                    report.failed(error);
                }
                if let Some(Err(error)) = run.as_mut().map(|run| run.forget_files_of(&lost)) {
                    report.failed(error);
                }
            }
            if let Some(note) = note {
                report.note(note);
            }
        }
        if let Some(run) = run {
            report.run = Some(run.id());
            let malformed = run.path_beside("malformed");
            let dead_letters = run.path_beside("dead-letters");
            if let Err(error) = run.finish(&report) {
                report.failed(error);
            }
            for path in [malformed, dead_letters] {
                // Nobody wants a folder full of empty files.
                if path.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
        if let Some(afterwards) = afterwards {
            afterwards.finish(&mut report);
        }
        let left_out = seen.filtered.load(Ordering::Relaxed);
        if left_out > 0 {
            let were = if left_out == 1 { "was" } else { "were" };
            let files = figures::counted(left_out, "file");
            report.note(format!("{files} {were} left out by --include, --exclude, --newer-than or --older-than"));
        }
        let again = seen.again.load(Ordering::Relaxed);
        if again > 0 {
            let files = figures::counted(again, "file");
            let are = if again == 1 { "is" } else { "are" };
            report.note(format!("{files} turned up again, by a link or named twice, and {are} loaded once"));
        }
        for warning in seen.warnings.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            report.note(warning);
        }
        Ok(report)
    }

    /// Whether nothing of a file is needed any more: each of its lines is in the cluster, or in a file `beside` the
    /// ledger; and it is no other kind of file after all.
    fn lasts(&self, file: &FileReport, beside: &[LinesFile]) -> bool {
        let cut = file.counts.tally.malformed.contains_key(&Malformed::TooLong);
        file.status == FileStatus::Loaded
            && file.law_holds()
            && file.unfinished.is_none()
            && !cut
            && file.counts.malformed_share() <= self.report.max_malformed
            && !beside.iter().any(LinesFile::is_incomplete)
    }

    /// The options of the data plane.
    ///
    /// # Errors
    /// Documents that cannot be as they were asked for.
    pub fn options(&self, keep_malformed: bool) -> Result<pipeline::Options> {
        let documents = self.documents;
        let plan = Plan::new(serialize::Options {
            schema: documents.schema,
            documents_only: self.documents_only,
            index: IndexPattern::new(self.index)?,
            ids: match self.id {
                cli::Id::Source => IdMode::Source,
                cli::Id::Content => IdMode::Content,
                cli::Id::None => IdMode::None,
            },
            with_message: documents.with.message,
            with_source: documents.with.source,
            with_extra: documents.with.extra,
            with_timestamp: documents.with.timestamp,
            mask: Mask {
                client: documents.mask.client.then(|| match &documents.mask.key {
                    Some(key) => mask::Client::hashed(key.reveal().as_bytes()),
                    None => mask::Client::Truncated,
                }),
                query: documents.mask.query,
            },
            fields: documents.fields.clone(),
            log_type: documents.log_type.clone(),
            ingestion_timestamp: milliseconds(documents.ingestion_timestamp),
            since: documents.since.map(ceiling_seconds),
            until: documents.until.map(ceiling_seconds),
            keep_malformed,
        })?;
        let format = match documents.format {
            cli::Format::Auto => None,
            cli::Format::Common => Some(Format::Common),
            cli::Format::Combined => Some(Format::Combined),
            cli::Format::VhostCombined => Some(Format::VhostCombined),
            cli::Format::VhostCommon => Some(Format::VhostCommon),
            cli::Format::CombinedIo => Some(Format::CombinedIo),
        };
        let threads = self.threads as usize;
        Ok(pipeline::Options {
            read: reader::Options {
                format,
                namespace: self.sources.namespace.clone(),
                line_bytes_max: usize::try_from(self.sources.line_bytes_max).unwrap_or(usize::MAX),
                take_last_line: self.sources.take_last_line,
            },
            plan,
            parsers: threads,
            readers: self.memory.readers as usize,
            chunk_bytes: usize::try_from(self.memory.chunk_bytes).unwrap_or(usize::MAX),
            tickets_bytes: usize::try_from(self.memory.tickets_bytes).unwrap_or(usize::MAX),
            panic_in: None,
        })
    }

    /// Tells how it went, and gives the exit code.
    pub fn tell(&self, report: &mut Report, context: &Context<'_>) -> u8 {
        let code = report.exit_code();
        let text = match self.report.form {
            Form::Json => None,
            Form::Text if self.report.quiet && code == 0 => return code,
            // Whoever closed our output has seen enough: `loghaul parse access.log | head`.
            Form::Text if report.ended == Ended::OutputClosed => return code,
            Form::Text => Some(summary::summary(report, context)),
        };
        let mut out: Box<dyn Write> = match self.report.stream {
            Stream::Stdout => Box::new(io::stdout().lock()),
            Stream::Stderr => Box::new(io::stderr().lock()),
        };
        let told = match text {
            Some(text) => Safe::text(&mut out).write_all(text.as_bytes()),
            None => json::write(&mut Safe::json(&mut out), report),
        };
        match told.and_then(|()| out.flush()) {
            Ok(()) => code,
            // Nobody wants to read it: the exit code still tells.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
            Err(error) => {
                let _ = writeln!(io::stderr(), "loghaul: cannot write the report: {}", io_reason(&error));
                code.max(1)
            }
        }
    }
}

/// Tells the ledger which indices they are that documents went to.
fn learn_indices(run: &mut Run, watch: &IndexWatch) {
    watch.found().for_each(|(name, uuid)| run.index_is(&name, &uuid));
}

/// A file in a line, for `--verbose`.
fn done(file: &FileProgress<'_>) -> String {
    let (report, counts) = (file.report, &file.report.counts);
    let from = if report.resumed_at > 0 { format!(" from byte {}", report.resumed_at) } else { String::new() };
    format!(
        "{} {}{from}: {} lines, {}, {:?}, identity {}",
        report.status.name(),
        escape::shown(report.uri.as_bytes()),
        figures::grouped(counts.lines_read),
        report.format.map_or("no format", |format| format.name),
        file.file.encoding,
        file.file.identity.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    )
}

/// Event times are whole seconds: one is at or after a time with a fraction if it is so of the next whole second.
fn ceiling_seconds(time: jiff::Timestamp) -> i64 {
    time.as_second() + i64::from(time.subsec_nanosecond() > 0)
}

/// OpenSearch's dates have milliseconds.
fn milliseconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A time of ours as the system has it.
pub fn system_time(time: jiff::Timestamp) -> std::time::SystemTime {
    // Before 1970 there were no logs; a time that the system cannot hold leaves nothing out.
    let seconds = u64::try_from(time.as_second()).unwrap_or(0);
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}
