//! [`Steps`]: what is to be done, found out before anything is done.

use crate::error::{Error, Result};

/// What becomes of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not there yet.
    Put,
    /// It is ours and older or different, or is replaced by force.
    Update,
    /// It is as it should be.
    Unchanged,
    /// It goes.
    Remove,
    /// There is nothing to take away.
    Absent,
    /// It stays, for this reason.
    Kept(String),
    /// It is in the way, for this reason.
    Refused(String),
}

type Act<'c> = Box<dyn FnOnce() -> Result<()> + 'c>;

/// All that is to be done, in order.
pub struct Steps<'c> {
    force: bool,
    steps: Vec<(Verdict, String, Option<Act<'c>>)>,
}

impl<'c> Steps<'c> {
    /// None yet. `force` overrules refusals.
    pub fn new(force: bool) -> Steps<'c> {
        Steps { force, steps: Vec::new() }
    }

    /// Whether what is not ours is replaced.
    pub fn force(&self) -> bool {
        self.force
    }

    /// Something that stays, or is in the way.
    pub fn tell(&mut self, verdict: Verdict, what: impl Into<String>) {
        self.steps.push((verdict, what.into(), None));
    }

    /// Something that changes.
    pub fn add(&mut self, verdict: Verdict, what: impl Into<String>, act: impl FnOnce() -> Result<()> + 'c) {
        self.steps.push((verdict, what.into(), Some(Box::new(act))));
    }

    /// How many things change.
    pub fn changes(&self) -> usize {
        self.steps.iter().filter(|(_, _, act)| act.is_some()).count()
    }

    /// Whether something is in the way.
    pub fn is_refused(&self) -> bool {
        self.steps.iter().any(|(verdict, ..)| matches!(verdict, Verdict::Refused(_)))
    }

    /// One line for each.
    pub fn told(&self, would: bool) -> String {
        self.steps.iter().map(|(verdict, what, _)| line(verdict, what, would) + "\n").collect()
    }

    /// Does all, and tells each when it is done.
    ///
    /// # Errors
    /// The first that fails; or something is in the way, then nothing is done.
    pub fn run(self, mut say: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let refused: Vec<String> = self
            .steps
            .iter()
            .filter(|(verdict, ..)| matches!(verdict, Verdict::Refused(_)))
            .map(|(verdict, what, _)| line(verdict, what, false))
            .collect();
        if !refused.is_empty() {
            return Err(Error::failed(format!("nothing was changed: {}", refused.join("; ")))
                .hint("--force replaces it, --dry-run tells all"));
        }
        for (verdict, what, act) in self.steps {
            act.map_or(Ok(()), |act| act())?;
            say(&line(&verdict, &what, false))?;
        }
        Ok(())
    }
}

fn line(verdict: &Verdict, what: &str, would: bool) -> String {
    let (doing, done) = match verdict {
        Verdict::Put => ("would put", "put"),
        Verdict::Update => ("would update", "updated"),
        Verdict::Unchanged => ("unchanged", "unchanged"),
        Verdict::Remove => ("would remove", "removed"),
        Verdict::Absent => ("not there", "not there"),
        Verdict::Kept(_) => ("kept", "kept"),
        Verdict::Refused(_) => ("refused", "refused"),
    };
    let verb = if would { doing } else { done };
    match verdict {
        Verdict::Kept(why) | Verdict::Refused(why) => format!("{verb}: {what}: {why}"),
        _ => format!("{verb}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn all_or_nothing() {
        let done = RefCell::new(Vec::new());
        let steps = |refused: bool| {
            let mut steps = Steps::new(false);
            steps.add(Verdict::Put, "a", || {
                done.borrow_mut().push("a");
                Ok(())
            });
            if refused {
                steps.tell(Verdict::Refused("it is mine".into()), "b");
            }
            steps.tell(Verdict::Unchanged, "c");
            steps
        };
        let refused = steps(true);
        assert_eq!(refused.told(true), "would put: a\nrefused: b: it is mine\nunchanged: c\n");
        let error = refused.run(|_| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("nothing was changed: refused: b: it is mine ("), "{error}");
        assert!(done.borrow().is_empty());
        let mut told = Vec::new();
        let good = steps(false);
        assert_eq!(good.changes(), 1);
        good.run(|line| {
            told.push(line.to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!((done.take(), told), (vec!["a"], vec!["put: a".to_owned(), "unchanged: c".to_owned()]));
    }
}
