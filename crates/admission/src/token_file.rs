//! [`TokenFile`]: static tokens and what each of them allows, from the text of a file. Read at the start and at reloads,
//! asked for each request.

use std::collections::HashMap;
use std::error;
use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::credentials::is_token_text;
use crate::grant::MAX_SUBJECT;
use crate::{Grant, Rooms, RoomsError, Secret};

/// Most tokens in a file. All of them are looked at for each request, whether one fits or not.
pub const MAX_TOKENS: usize = 4096;
/// Shortest token in bytes.
pub const MIN_TOKEN: usize = 16;

/// Static tokens, and what each of them allows.
///
/// A line for each: the token, and then in any order, with white space between them, a name and options. `#` begins a comment
/// line.
///
/// ```text
/// # openssl rand -hex 24
/// 3f1c0a...e9 alice
/// 77aa12...04 sensor-7  read=  write=/sensors/7
/// sha256:9b74...5f board  read=/news,/team/*  expires=1893456000
/// ```
///
/// | written | means |
/// |---|---|
/// | a word | the name, which becomes the [subject](Grant::subject) |
/// | `read=ROOMS`, `write=ROOMS` | the [rooms](Rooms) one may read, and write; with one of them, the other one is none |
/// | neither | all rooms, both ways |
/// | `expires=SECONDS` | since the Unix epoch: from then on the token is worth nothing |
/// | `sha256:HEX` for the token | its SHA-256, so that the file itself gives nothing away: `printf %s TOKEN \| sha256sum` |
///
/// Tokens have 16 bytes or more, of letters, digits and `-._~+/`, and `=` at the end (RFC 6750 §2.1). In memory there is only the
/// hash of each. The hash of what a client presents is compared with every one of them, in a time that tells nothing but
/// their number; that takes about 10 µs for as many as [`MAX_TOKENS`].
///
/// ```
/// use wirefan_admission::{Secret, TokenFile};
///
/// let file = TokenFile::parse("0123456789abcdef alice read=/news")?;
/// let alice = file.grant(&Secret::new("0123456789abcdef"), 0).expect("a token of the file");
/// assert_eq!(alice.subject, "alice");
/// assert!(alice.may_read("/news") && !alice.may_write("/news"));
/// assert!(file.grant(&Secret::new("0123456789abcdeg"), 0).is_none());
/// # Ok::<(), wirefan_admission::TokenFileError>(())
/// ```
#[derive(Clone, Default)]
pub struct TokenFile(Vec<(Sum, Grant)>);

/// A SHA-256 in four words, so that two are compared in a few steps.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
struct Sum([u64; 4]);

impl Sum {
    fn of(text: &str) -> Self {
        Self::from_bytes(Sha256::digest(text).into())
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut sum = Self::default();
        for (word, bytes) in sum.0.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes
                .iter()
                .fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        sum
    }

    /// 64 hexadecimal digits.
    fn from_hex(digits: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            for &digit in pair {
                let digit = char::from(digit).to_digit(16)?;
                *byte = *byte << 4 | u8::try_from(digit).ok()?;
            }
        }
        Some(Self::from_bytes(bytes))
    }

    /// In the same time wherever they differ.
    fn ct_eq(&self, other: &Self) -> Choice {
        let words = self.0.iter().zip(&other.0);
        words
            .fold(0, |different, (one, other)| different | (one ^ other))
            .ct_eq(&0)
    }
}

impl TokenFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// The first mistake, with its line. No message shows a token.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut entries: Vec<(Sum, Grant)> = Vec::new();
        let mut lines = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |why| TokenFileError { line: number, why };
            let Some((hash, grant)) = parse_line(line).map_err(wrong)? else {
                continue;
            };
            if let Some(line) = lines.insert(hash, number) {
                return Err(wrong(TokenMistake::Repeated { line }));
            }
            if entries.len() == MAX_TOKENS {
                return Err(wrong(TokenMistake::TooMany));
            }
            entries.push((hash, grant));
        }
        Ok(Self(entries))
    }

    /// What `token` allows at `now`, in seconds since the Unix epoch; `None` if it is not in the file or has expired.
    pub fn grant(&self, token: &Secret, now: u64) -> Option<&Grant> {
        let hash = Sum::of(token.expose());
        let mut found = u32::MAX;
        // None is skipped, and none is the last to be looked at: the time says nothing about the place.
        for (index, (other, _)) in (0..).zip(&self.0) {
            found.conditional_assign(&index, other.ct_eq(&hash));
        }
        let (_, grant) = self.0.get(usize::try_from(found).ok()?)?;
        grant.is_valid(now).then_some(grant)
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// A hash is no secret as such, but nobody needs it in a log.
impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subjects = self.0.iter().map(|(_, grant)| &grant.subject);
        f.debug_list().entries(subjects).finish()
    }
}

fn parse_line(line: &str) -> Result<Option<(Sum, Grant)>, TokenMistake> {
    let mut words = line.split_ascii_whitespace();
    let token = match words.next() {
        None => return Ok(None),
        Some(word) if word.starts_with('#') => return Ok(None),
        Some(word) => word,
    };
    let hash = match token.strip_prefix("sha256:") {
        Some(digits) => Sum::from_hex(digits).ok_or(TokenMistake::HashInvalid)?,
        None if !is_token_text(token.as_bytes()) => return Err(TokenMistake::TokenInvalid),
        None if token.len() < MIN_TOKEN => return Err(TokenMistake::TokenTooShort),
        None => Sum::of(token),
    };
    let (mut name, mut read, mut write, mut expires) = (None, None, None, None);
    for word in words {
        match word.split_once('=') {
            None => once(&mut name, word)?,
            Some(("read", rooms)) => once(&mut read, parse_rooms(rooms)?)?,
            Some(("write", rooms)) => once(&mut write, parse_rooms(rooms)?)?,
            Some(("expires", seconds)) => {
                let digits = seconds.bytes().all(|byte| byte.is_ascii_digit());
                let parsed = seconds.parse::<u64>().ok().filter(|_| digits);
                once(&mut expires, parsed.ok_or(TokenMistake::ExpiresInvalid)?)?;
            }
            Some(_) => return Err(TokenMistake::UnknownOption),
        }
    }
    let name = name.unwrap_or_default();
    if name.len() > MAX_SUBJECT || name.contains(char::is_control) {
        return Err(TokenMistake::NameInvalid);
    }
    let mut grant = Grant::everything(name);
    if read.is_some() || write.is_some() {
        grant.read = read.unwrap_or_default();
        grant.write = write.unwrap_or_default();
    }
    grant.expires = expires;
    Ok(Some((hash, grant)))
}

fn parse_rooms(text: &str) -> Result<Rooms, TokenMistake> {
    text.parse().map_err(TokenMistake::Rooms)
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), TokenMistake> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(TokenMistake::OptionRepeated),
    }
}

/// What is wrong with a token file, and in which line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenFileError {
    line: usize,
    why: TokenMistake,
}

impl TokenFileError {
    /// The line, beginning with 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong with it.
    pub fn why(&self) -> TokenMistake {
        self.why
    }
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl error::Error for TokenFileError {}

/// A mistake in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenMistake {
    /// The token has characters that no token has.
    TokenInvalid,
    /// The token is shorter than [`MIN_TOKEN`].
    TokenTooShort,
    /// What follows `sha256:` is not 64 hexadecimal digits.
    HashInvalid,
    /// The name is too long, or has a control character.
    NameInvalid,
    /// A second name, or an option for the second time.
    OptionRepeated,
    /// An option that there is none of.
    UnknownOption,
    /// What follows `expires=` is no number of seconds.
    ExpiresInvalid,
    /// The rooms are none.
    Rooms(RoomsError),
    /// The token of an earlier line.
    Repeated {
        /// That line.
        line: usize,
    },
    /// More tokens than [`MAX_TOKENS`].
    TooMany,
}

impl fmt::Display for TokenMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenInvalid => {
                f.write_str("a token has letters, digits and -._~+/ and perhaps = at its end")
            }
            Self::TokenTooShort => write!(
                f,
                "a token below {MIN_TOKEN} bytes can be guessed: openssl rand -hex 24 makes one"
            ),
            Self::HashInvalid => f.write_str("sha256: takes 64 hexadecimal digits"),
            Self::NameInvalid => write!(
                f,
                "the name is longer than {MAX_SUBJECT} bytes or has a control character"
            ),
            Self::OptionRepeated => f.write_str("a second name, or one option twice"),
            Self::UnknownOption => f.write_str("the options are read=, write= and expires="),
            Self::ExpiresInvalid => f.write_str("expires= takes seconds since the Unix epoch"),
            Self::Rooms(why) => write!(f, "{why}"),
            Self::Repeated { line } => write!(f, "the token of line {line} again"),
            Self::TooMany => write!(f, "more than {MAX_TOKENS} tokens"),
        }
    }
}

impl error::Error for TokenMistake {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "0123456789abcdef";

    fn one(line: &str) -> Result<Grant, TokenMistake> {
        let file = TokenFile::parse(line).map_err(|error| error.why())?;
        Ok(file.grant(&TOKEN.into(), 0).expect("in the file").clone())
    }

    #[test]
    fn what_lines_say() {
        let all = Grant::everything;
        let some = |name, read: &str, write: &str| {
            let mut grant = Grant::new(name);
            grant.read = read.parse().unwrap();
            grant.write = write.parse().unwrap();
            grant
        };
        for (line, grant) in [
            ("", all("")),
            ("alice", all("alice")),
            ("read=/a,/b/* alice", some("alice", "/a,/b/*", "")),
            ("x write=*", some("x", "", "*")),
            ("x write=/a read=", some("x", "", "/a")),
        ] {
            assert_eq!(one(&format!("\t{TOKEN}  {line}\r\n")), Ok(grant), "{line}");
        }
        let hashed = "sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f a";
        assert_eq!(one(hashed), Ok(all("a")));
        assert_eq!(
            one(&hashed.to_uppercase().replace("SHA256", "sha256")),
            Ok(all("A"))
        );
    }

    #[test]
    fn a_token_ends_when_it_says() {
        let file = TokenFile::parse(&format!("{TOKEN} expires=100")).unwrap();
        assert!(file.grant(&TOKEN.into(), 99).is_some());
        assert!(file.grant(&TOKEN.into(), 100).is_none());
    }

    #[test]
    fn each_token_has_its_own_grant_wherever_it_stands() {
        let token = |n: usize| format!("token-number-{n:06}");
        let lines: Vec<_> = (0..MAX_TOKENS)
            .map(|n| format!("{} {n}\n", token(n)))
            .collect();
        let text = format!("# tokens\n\n{}", lines.concat());
        let file = TokenFile::parse(&text).unwrap();
        assert_eq!(file.len(), MAX_TOKENS);
        for n in [0, 1, 77, MAX_TOKENS - 1] {
            let grant = file.grant(&token(n).into(), 0).unwrap();
            assert_eq!(grant.subject, n.to_string());
        }
        assert_eq!(file.grant(&token(MAX_TOKENS).into(), 0), None);
        assert_eq!(TokenFile::default().grant(&"".into(), 0), None);
        let more = format!("{text}{}", token(MAX_TOKENS));
        let error = TokenFile::parse(&more).unwrap_err();
        assert_eq!(
            (error.why(), error.line()),
            (TokenMistake::TooMany, MAX_TOKENS + 3)
        );
    }

    #[test]
    fn every_digit_of_a_hash_counts() {
        let hash = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        for at in 0..hash.len() {
            let other = if &hash[at..=at] == "0" { "1" } else { "0" };
            let line = format!("sha256:{}{other}{}", &hash[..at], &hash[at + 1..]);
            let file = TokenFile::parse(&line).unwrap();
            assert_eq!(file.grant(&TOKEN.into(), 0), None, "{at}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_without_the_token() {
        for (line, why) in [
            ("secret", TokenMistake::TokenTooShort),
            ("secretsecret,secretsecret", TokenMistake::TokenInvalid),
            ("secretsecret=secretsecret", TokenMistake::TokenInvalid),
            ("secrets\u{e4}cretsecret", TokenMistake::TokenInvalid),
            ("sha256:secret", TokenMistake::HashInvalid),
            (
                "secretsecretsecret secret-one secret-two",
                TokenMistake::OptionRepeated,
            ),
            (
                "secretsecretsecret read=a read=b",
                TokenMistake::OptionRepeated,
            ),
            ("secretsecretsecret secret=a", TokenMistake::UnknownOption),
            (
                "secretsecretsecret expires=+1",
                TokenMistake::ExpiresInvalid,
            ),
            ("secretsecretsecret expires=", TokenMistake::ExpiresInvalid),
            (
                "secretsecretsecret read=/secret*",
                TokenMistake::Rooms(RoomsError::Star),
            ),
            ("secretsecretsecret secret\u{7}", TokenMistake::NameInvalid),
        ] {
            let error = TokenFile::parse(&format!("# one\n{TOKEN}\n{line}")).unwrap_err();
            assert_eq!((error.why(), error.line()), (why, 3), "{line}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        let twice = format!(
            "{TOKEN} a\n\nsha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"
        );
        let error = TokenFile::parse(&twice).unwrap_err();
        assert_eq!(error.to_string(), "line 3: the token of line 1 again");
        let debug = format!("{:?}", TokenFile::parse(TOKEN).unwrap());
        assert!(!debug.contains(TOKEN));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z0-9=#:,* \n\t]|read=|sha256:|\\PC){0,80}") {
            if let Ok(file) = TokenFile::parse(&text) {
                prop_assert!(file.len() <= text.lines().count());
            }
        }

        #[test]
        fn a_token_of_the_file_is_found_and_no_other(token in "[a-z]{16,20}", other in "[a-z]{16,20}") {
            let file = TokenFile::parse(&token).unwrap();
            prop_assert!(file.grant(&Secret::from(&*token), 0).is_some());
            prop_assert_eq!(file.grant(&Secret::from(&*other), 0).is_some(), token == other);
        }
    }
}
