//! [`Complaint`]: what AWS says of keys and signatures that it does not take. Pure: status and words in, kind out.

/// Why a signed request was refused, where that is about its signature and not about rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The session token's time is over.
    TokenExpired,
    /// The access key, or the token, is not known.
    UnknownKeys,
    /// The signature is another than AWS computes: a wrong secret, region or service, or somebody changed the request.
    WrongSignature,
    /// The request's time is too far from the server's.
    ClockSkew,
}

impl Complaint {
    /// Reads the words of an answer with that status. The sentences are those of the services themselves and of the
    /// gateway before them; none of them is documented, so each is known by its most telling words.
    pub fn read(status: u16, words: &str) -> Option<Complaint> {
        if !matches!(status, 400 | 401 | 403) {
            return None;
        }
        let words = words.to_ascii_lowercase();
        let has = |part: &str| words.contains(part);
        // "Signature expired: 20261128T050000Z is now earlier than 20261128T053500Z (20261128T054000Z - 5 min.)"
        if has("signature expired") || has("signature not yet current") || has("requesttimetooskewed") {
            return Some(Complaint::ClockSkew);
        }
        if has("security token included in the request is expired") || has("expiredtoken") || has("token has expired") {
            return Some(Complaint::TokenExpired);
        }
        if has("security token included in the request is invalid")
            || has("unrecognizedclient")
            || has("invalidaccesskeyid")
        {
            return Some(Complaint::UnknownKeys);
        }
        if has("signature we calculated does not match")
            || has("signaturedoesnotmatch")
            || has("credential should be scoped")
        {
            return Some(Complaint::WrongSignature);
        }
        None
    }

    /// Whether other keys may do.
    pub fn is_about_keys(self) -> bool {
        matches!(self, Complaint::TokenExpired | Complaint::UnknownKeys | Complaint::WrongSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_own_sentences() {
        let check = |status, words: &str, expected| assert_eq!(Complaint::read(status, words), expected, "{words}");
        check(403, "The security token included in the request is expired", Some(Complaint::TokenExpired));
        check(403, "The security token included in the request is invalid.", Some(Complaint::UnknownKeys));
        check(
            403,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method.",
            Some(Complaint::WrongSignature),
        );
        check(403, "Credential should be scoped to a valid region.", Some(Complaint::WrongSignature));
        check(
            403,
            "Signature expired: 20190101T000000Z is now earlier than 20190101T001000Z (20190101T001500Z - 5 min.)",
            Some(Complaint::ClockSkew),
        );
        check(403, "Signature not yet current: 20190101T001000Z is still later than …", Some(Complaint::ClockSkew));
        check(403, "User: arn:aws:iam::1:user/x is not authorized to perform: es:ESHttpPost", None);
        check(500, "The security token included in the request is expired", None);
    }
}
