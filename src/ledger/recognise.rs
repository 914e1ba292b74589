//! Which of the files that were loaded before a file is: the same, a predecessor of it, or none.

use std::path::Path;

use super::choose::{Chooser, Found, Known};
use super::look::{Look, Places};
use super::records::{FileRecord, Stat};
use crate::error::Result;
use crate::pipeline::decode::Encoding;
use crate::pipeline::source::unpacked;

/// How many files with the same first line are looked at as predecessors.
const PREDECESSORS_MAX: usize = 256;

/// Rows that might be the file's, by what makes them so.
struct Candidates {
    /// Of this identity, or last seen under this path.
    own: Vec<FileRecord>,
    /// With the same first line, the likeliest first.
    others: Vec<FileRecord>,
}

impl Chooser {
    /// Finds the row that a file belongs to.
    pub(super) fn known(
        &self,
        path: &Path,
        look: Look,
        own_identity: [u8; 8],
        first_line: u64,
        naming: i64,
    ) -> Result<Known> {
        let (stat, packed) = (look.stat, look.encoding != Encoding::Plain);
        let mut own = self.rows("identity = ? AND first_line = ?", naming, (own_identity, first_line as i64))?;
        let others = self.rows("first_line = ? AND files.id <= ?", naming, (first_line as i64, self.rows_before))?;
        // `access.log.1` and `access.log.1.gz`, while logrotate has both, are one log under one name.
        let is_own = |row: &FileRecord| unpacked(&row.path) == unpacked(path) || row.stat.same_file(&stat);
        let (same_file, mut others): (Vec<_>, Vec<_>) =
            others.into_iter().filter(|row| row.identity != own_identity).partition(is_own);
        own.extend(same_file);
        let taken: Vec<i64> = {
            let taken = self.taken();
            own.iter().chain(&others).map(|row| row.id).filter(|id| taken.rows.contains(id)).collect()
        };
        // What this run reads is where it is. Of several predecessors the one from the same folder comes first.
        others.retain(|row| !taken.contains(&row.id));
        others.sort_by_key(|row| (row.path.parent() != path.parent(), std::cmp::Reverse(row.mark.offset)));
        others.truncate(PREDECESSORS_MAX);
        let candidates = Candidates { own, others };
        let offsets = candidates.own.iter().chain(&candidates.others).flat_map(|row| [row.mark.offset, row.reached.0]);
        let offsets: Vec<u64> = offsets.collect();
        // A file that cannot be read to there holds none of it; the reader will tell what is wrong.
        let places = match offsets.is_empty() {
            true => Places::default(),
            false => look.at(offsets, &self.stop).unwrap_or_default(),
        };
        // A packed file that ends before all of a row was seen: gzip(1) is at work on it, or it is damaged.
        let part = |row: &&FileRecord| {
            packed
                && row.identity != own_identity
                && !places.reach(&row.mark)
                && (is_own(row) || !self.still_there(row, &stat))
        };
        let part = candidates.own.iter().chain(&candidates.others).find(part).cloned();
        let found = choose_row(candidates, &places, |row| self.still_there(row, &stat));
        let found_row = |row: FileRecord| Found { was_taken: taken.contains(&row.id), row };
        Ok(match (found, part) {
            (found, Some(part)) if found.as_ref().is_none_or(|row| row.mark.offset == 0) => {
                Known::Part(found_row(part))
            }
            (Some(row), _) => Known::Row(found_row(row), places),
            (None, _) => Known::New(own_identity),
        })
    }

    /// Whether the content that `row` tells of is still at its own path, so that `stat`, a file at another path, can
    /// only be a copy of it.
    fn still_there(&self, row: &FileRecord, stat: &Stat) -> bool {
        let Ok(metadata) = std::fs::metadata(&row.path) else { return false };
        let there = Stat::of(&metadata);
        if there.same_file(stat) {
            return false; // the same file under two names
        }
        if there == row.stat {
            return true;
        }
        let Ok(Some(look)) = Look::open(&row.path, &self.stop) else { return false };
        if look.first_line.is_none() || look.first_line != self.first_line_of(row.id).ok().flatten() {
            return false;
        }
        look.at(vec![row.mark.offset], &self.stop).is_ok_and(|places| places.holds(&row.mark))
    }
}

/// The row whose content is here. Rows of the file's own identity, path or inode come first, the one that reaches
/// furthest; then others in their order, if their content is no longer where it was. Rows of which nothing is settled
/// agree with whatever begins so; they come last.
fn choose_row(
    candidates: Candidates,
    places: &Places,
    mut still_there: impl FnMut(&FileRecord) -> bool,
) -> Option<FileRecord> {
    let Candidates { mut own, mut others } = candidates;
    own.retain(|row| places.holds(&row.mark));
    others.retain(|row| places.holds(&row.mark));
    others.sort_by_key(|row| row.mark.offset == 0);
    let own = own.into_iter().max_by_key(|row| row.mark.offset);
    if own.as_ref().is_some_and(|row| row.mark.offset > 0) {
        return own;
    }
    match own {
        Some(own) => others.into_iter().find(|row| row.mark.offset > 0 && !still_there(row)).or(Some(own)),
        None => others.into_iter().find(|row| !still_there(row)),
    }
}
