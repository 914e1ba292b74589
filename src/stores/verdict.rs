//! What a request that came to nothing means: try again, ask in another region, or give up with a sentence. Decided in one
//! place, without a clock or a network; somebody else sleeps.

use std::error::Error as StdError;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use super::door::Refusal;
use super::environment::NoCredentials;
use super::failure::{Failure, Kind};

/// What came in place of what was asked for.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The store's refusal.
    Refused(Refusal),
    /// No answer, or none to its end: why, in the system's words.
    Broken(String),
    /// A name that stands for nobody, a certificate that is not trusted: asking again would not help.
    Unreachable(String),
    /// There is nobody to sign in the name of.
    NoCredentials(String),
    /// An answer that says something else than it should.
    Odd(String),
    /// What nobody can mend by asking again.
    Final(Failure),
    /// The object is another than the one that was listed: how.
    Another(String),
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// To list a bucket.
    List,
    /// To find out what an object is.
    Look,
    /// To read an object that was seen before.
    Read,
    /// To take it away, or to move it.
    Remove,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same once more, after a while; why, if it is not to be.
    Again(String, Option<Duration>),
    /// The same with new credentials, once.
    Renew(String),
    /// The same in this region.
    Elsewhere(String),
    /// Nothing.
    GiveUp(Failure),
}

impl Trouble {
    /// What is in an error of object_store's.
    pub fn of(error: &object_store::Error) -> Trouble {
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        let mut last = error.to_string();
        let mut kind = None;
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref::<Refusal>() {
                return Trouble::Refused(refusal.clone());
            }
            if let Some(failure) = error.downcast_ref::<Failure>() {
                return Trouble::Final(failure.clone());
            }
            if let Some(none) = error.downcast_ref::<NoCredentials>() {
                return Trouble::NoCredentials(none.0.clone());
            }
            if let Some(error) = error.downcast_ref::<HttpError>() {
                kind = Some(error.kind());
            }
            last = error.to_string();
            next = error.source();
        }
        match kind {
            Some(HttpErrorKind::Connect) if is_final(&last) => Trouble::Unreachable(last),
            Some(HttpErrorKind::Timeout) => Trouble::Broken("nothing came for a while".to_owned()),
            Some(_) => Trouble::Broken(last),
            None => Trouble::Odd(last),
        }
    }
}

/// Whether nobody will be there however often we ask.
fn is_final(why: &str) -> bool {
    ["certificate", "lookup address", "Name or service not known", "InvalidContentType", "invalid URL"]
        .iter()
        .any(|sign| why.contains(sign))
}

/// Decides. The sentence is told beside what it is about.
pub fn decide(trouble: &Trouble, task: Task) -> Verdict {
    let failed = |why: String| Verdict::GiveUp(Failure::new(why));
    match trouble {
        Trouble::Refused(refusal) => refused(refusal, task),
        Trouble::Broken(why) => Verdict::Again(why.clone(), None),
        Trouble::Unreachable(why) => failed(format!("its store cannot be reached: {why}")),
        Trouble::NoCredentials(why) => failed(format!(
            "there are no AWS credentials ({why}): set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or read \
             what is public with --no-sign-request"
        )),
        // A page that cannot be read is asked for again, in case it was cut.
        Trouble::Odd(why) if task == Task::List => Verdict::Again(format!("an answer that is no listing: {why}"), None),
        Trouble::Odd(why) => {
            // In object_store's words; the two that web servers give rise to have a way out.
            let hint = match why.as_str() {
                why if why.contains("Content-Length") => {
                    "; the server does not say how long it is: `curl -sSf URL | loghaul load -` takes it as it comes"
                }
                why if why.contains("non-partial") => {
                    "; it was cut, and the server does not give the rest alone: download it, then load the file"
                }
                _ => "",
            };
            failed(format!("the store's answer cannot be used: {why}{hint}"))
        }
        Trouble::Final(failure) => Verdict::GiveUp(failure.clone()),
        Trouble::Another(how) => changed(how),
    }
}

fn refused(refusal: &Refusal, task: Task) -> Verdict {
    let give_up = |kind: Kind, why: String| Verdict::GiveUp(Failure { kind, why });
    let failed = |why: String| give_up(Kind::Failed, why);
    match (refusal.status, refusal.code.as_str()) {
        (301 | 307 | 308, _) | (400, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            match &refusal.region {
                Some(region) => Verdict::Elsewhere(region.clone()),
                None => failed(format!(
                    "its bucket is in another region or under another address ({refusal}), and the store does not say \
                     which; name it with AWS_REGION or --endpoint-url (a redirect is not followed with our keys)"
                )),
            }
        }
        (_, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => Verdict::Renew(format!(
            "the session token has expired ({refusal}): get a new one (`aws sso login`, or new variables), then load again"
        )),
        (_, "RequestTimeTooSkewed" | "RequestExpired") => {
            let how = match refusal.clock_ahead {
                Some(ahead @ 1..) => format!("{} behind the store's", minutes(ahead)),
                Some(ahead) if ahead < 0 => format!("{} ahead of the store's", minutes(-ahead)),
                _ => "far from the store's".to_owned(),
            };
            failed(format!("this machine's clock is {how} ({refusal}): set it, then load again"))
        }
        (_, "SignatureDoesNotMatch") => {
            failed(format!("the secret access key is wrong ({refusal}): see AWS_SECRET_ACCESS_KEY, or the profile"))
        }
        (_, "InvalidAccessKeyId" | "InvalidToken" | "NotSignedUp" | "XAdminUserNotFound") => {
            failed(format!("its store does not know the access key ({refusal}): see AWS_ACCESS_KEY_ID, or the profile"))
        }
        (403, "InvalidObjectState" | "BlobArchived") | (409, "BlobArchived") => {
            give_up(Kind::Archived, format!("it lies in an archive ({refusal}): restore it first"))
        }
        (404, "NoSuchBucket" | "ContainerNotFound") => {
            failed(format!("there is no such bucket ({refusal}): see its name, and --endpoint-url"))
        }
        (404, _) if task == Task::List => failed(format!("there is nothing to list ({refusal}): see --endpoint-url")),
        (404 | 410, _) if task == Task::Look => give_up(Kind::Gone, "there is no such object".to_owned()),
        (404 | 410, _) if task == Task::Remove => give_up(Kind::Gone, "it is no longer there".to_owned()),
        (404 | 410, _) => give_up(Kind::Gone, "it was there when it was listed or looked at".to_owned()),
        (412 | 409, _) if task == Task::Remove => {
            give_up(Kind::Changed, "it has changed since it was read, and stays where it is".to_owned())
        }
        (412, _) => changed("its ETag is another"),
        (416, _) => changed("it is shorter now"),
        (401 | 403, _) => {
            let wanted = match task {
                Task::List => "list the bucket (s3:ListBucket)",
                Task::Look | Task::Read => "read it (s3:GetObject; s3:ListBucket tells what is missing)",
                Task::Remove => "remove it (s3:DeleteObject; s3:PutObject to move it)",
            };
            let unsaid = if refusal.code.is_empty() { ", without a reason: the keys may also be wrong" } else { "" };
            failed(format!("its store does not allow us to {wanted}: {refusal}{unsaid}"))
        }
        (408 | 425 | 429 | 500 | 502 | 503 | 504, _) | (_, "SlowDown" | "RequestTimeout" | "InternalError") => {
            Verdict::Again(format!("the store answers {refusal}"), refusal.retry_after)
        }
        _ => {
            let message = if refusal.message.is_empty() { String::new() } else { format!(": {}", refusal.message) };
            failed(format!("its store refuses with {refusal}{message}"))
        }
    }
}

fn changed(how: &str) -> Verdict {
    let why = format!("it changed after it was listed ({how}); load it again");
    Verdict::GiveUp(Failure { kind: Kind::Changed, why })
}

fn minutes(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, code: &str, task: Task) -> String {
        let refusal = Refusal { status, code: code.into(), clock_ahead: Some(960), ..Refusal::default() };
        match decide(&Trouble::Refused(refusal), task) {
            Verdict::Again(..) => "again".to_owned(),
            Verdict::Renew(why) => format!("renew: {why}"),
            Verdict::Elsewhere(region) => region,
            Verdict::GiveUp(failure) => format!("{:?}: {}", failure.kind, failure.why),
        }
    }

    #[test]
    fn each_refusal_has_its_sentence() {
        use Task::{List, Look, Read, Remove};
        let cases = [
            (404, "NoSuchBucket", List, "Failed: there is no such bucket (404 NoSuchBucket): see its name"),
            (404, "NoSuchKey", Look, "Gone: there is no such object"),
            (404, "NoSuchKey", Read, "Gone: it was there when it was listed or looked at"),
            (404, "", Read, "Gone:"),
            (
                403,
                "InvalidObjectState",
                Read,
                "Archived: it lies in an archive (403 InvalidObjectState): restore it first",
            ),
            (403, "AccessDenied", List, "Failed: its store does not allow us to list the bucket"),
            (403, "", Read, "Failed: its store does not allow us to read it (s3:GetObject"),
            (403, "AccessDenied", Remove, "Failed: its store does not allow us to remove it"),
            (400, "ExpiredToken", Read, "renew: the session token has expired (400 ExpiredToken)"),
            (403, "RequestTimeTooSkewed", List, "Failed: this machine's clock is 16 minutes behind the store's (403"),
            (403, "SignatureDoesNotMatch", List, "Failed: the secret access key is wrong"),
            (403, "InvalidAccessKeyId", List, "Failed: its store does not know the access key"),
            (301, "PermanentRedirect", List, "Failed: its bucket is in another region or under another address (301"),
            (412, "PreconditionFailed", Read, "Changed: it changed after it was listed (its ETag"),
            (416, "InvalidRange", Read, "Changed: it changed after it was listed (it is shorter"),
            (503, "SlowDown", Read, "again"),
            (500, "InternalError", Read, "again"),
            (400, "RequestTimeout", Read, "again"),
            (429, "", List, "again"),
            (405, "MethodNotAllowed", Look, "Failed: its store refuses with 405 MethodNotAllowed"),
        ];
        for (status, code, task, expected) in cases {
            let told = told(status, code, task);
            assert!(told.starts_with(expected), "{status} {code} {task:?}: {told}");
        }
    }

    #[test]
    fn a_region_that_is_told_is_gone_to() {
        let refusal = Refusal { status: 301, region: Some("eu-west-1".into()), ..Refusal::default() };
        assert_eq!(decide(&Trouble::Refused(refusal), Task::List), Verdict::Elsewhere("eu-west-1".into()));
    }

    #[test]
    fn what_is_cut_is_asked_for_again_and_what_is_odd_only_in_a_listing() {
        let broken = Trouble::Broken("reset".into());
        assert_eq!(decide(&broken, Task::Read), Verdict::Again("reset".into(), None));
        let odd = Trouble::Odd("no XML".into());
        assert!(matches!(decide(&odd, Task::List), Verdict::Again(..)));
        assert!(matches!(decide(&odd, Task::Read), Verdict::GiveUp(_)));
    }
}
