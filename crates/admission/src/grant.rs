//! [`Grant`] and [`Rooms`]: what somebody may do. What tickets, tokens and JWT all come to.

use std::error;
use std::fmt;
use std::str::FromStr;

/// Longest pattern in bytes.
pub const MAX_PATTERN: usize = 256;
/// Most patterns in one [`Rooms`].
pub const MAX_PATTERNS: usize = 64;
/// Longest subject in bytes.
pub const MAX_SUBJECT: usize = 256;

/// What somebody may do, and until when.
///
/// ```
/// use wirefan_admission::{Grant, Rooms};
///
/// let mut grant = Grant::new("alice");
/// grant.read = "/news, /team/*".parse()?;
/// grant.expires = Some(1_800_000_000);
/// assert!(grant.may_read("/team/a") && !grant.may_write("/news"));
/// assert!(grant.is_valid(1_799_999_999) && !grant.is_valid(1_800_000_000));
/// # Ok::<(), wirefan_admission::RoomsError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Grant {
    /// Who it is; empty for somebody without a name.
    pub subject: String,
    /// The rooms whose messages one may get.
    pub read: Rooms,
    /// The rooms that one may send to.
    pub write: Rooms,
    /// The moment from which on it is worth nothing, in seconds since the Unix epoch; `None`: never.
    pub expires: Option<u64>,
}

impl Grant {
    /// A grant of nothing.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            read: Rooms::none(),
            write: Rooms::none(),
            expires: None,
        }
    }

    /// A grant of everything, for ever.
    pub fn everything(subject: impl Into<String>) -> Self {
        Self {
            read: Rooms::all(),
            write: Rooms::all(),
            ..Self::new(subject)
        }
    }

    /// Whether the messages of `room` may be read.
    pub fn may_read(&self, room: &str) -> bool {
        self.read.allow(room)
    }

    /// Whether messages may be sent to `room`.
    pub fn may_write(&self, room: &str) -> bool {
        self.write.allow(room)
    }

    /// Whether it is still worth something at `now`, in seconds since the Unix epoch.
    pub fn is_valid(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// A set of rooms, by pattern.
///
/// | pattern | rooms |
/// |---|---|
/// | `*` | all |
/// | `/news` | that one |
/// | `/team/*` | all whose names begin with `/team/` and go on; not `/team/` itself |
///
/// Names are compared byte by byte, as the server calls its rooms, which for the binary is the decoded path of the URL.
/// A star means something at the end only, alone or behind a slash, and is refused elsewhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rooms(Vec<Pattern>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Pattern {
    All,
    /// What stands before the star, with its slash.
    Below(Box<str>),
    Exact(Box<str>),
}

impl Rooms {
    /// No room.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Every room.
    pub fn all() -> Self {
        Self(vec![Pattern::All])
    }

    /// The rooms of `patterns`, one in each string.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them, or that there are more than [`MAX_PATTERNS`].
    pub fn from_patterns<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RoomsError> {
        let mut rooms = Self::none();
        for pattern in patterns {
            if rooms.0.len() == MAX_PATTERNS {
                return Err(RoomsError::TooMany);
            }
            rooms.0.push(Pattern::parse(pattern)?);
        }
        Ok(rooms)
    }

    /// Whether `room` is one of them.
    pub fn allow(&self, room: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::All => true,
            Pattern::Below(prefix) => room.len() > prefix.len() && room.starts_with(&**prefix),
            Pattern::Exact(name) => room == &**name,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a list of text can hold them: no pattern has a comma or space in it.
    pub(crate) fn fit_a_list(&self) -> bool {
        self.0.iter().all(|pattern| match pattern {
            Pattern::All => true,
            Pattern::Below(text) | Pattern::Exact(text) => {
                !text.contains(|c: char| c == ',' || c.is_whitespace())
            }
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, RoomsError> {
        if text.is_empty() {
            return Err(RoomsError::Empty);
        }
        if text.len() > MAX_PATTERN {
            return Err(RoomsError::TooLong);
        }
        if text.contains(char::is_control) {
            return Err(RoomsError::Control);
        }
        let (before, star) = match text.strip_suffix('*') {
            Some(before) => (before, true),
            None => (text, false),
        };
        if before.contains('*') || (star && !before.is_empty() && !before.ends_with('/')) {
            return Err(RoomsError::Star);
        }
        Ok(match (before, star) {
            ("", _) => Self::All,
            (before, true) => Self::Below(before.into()),
            (name, false) => Self::Exact(name.into()),
        })
    }
}

impl FromStr for Rooms {
    type Err = RoomsError;

    /// Reads patterns with commas or white space between them; nothing at all means no room.
    fn from_str(text: &str) -> Result<Self, RoomsError> {
        Self::from_patterns(
            text.split(|c: char| c == ',' || c.is_whitespace())
                .filter(|pattern| !pattern.is_empty()),
        )
    }
}

impl fmt::Display for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match pattern {
                Pattern::All => f.write_str("*")?,
                Pattern::Below(prefix) => write!(f, "{prefix}*")?,
                Pattern::Exact(name) => f.write_str(name)?,
            }
        }
        Ok(())
    }
}

/// What is wrong with the patterns of [`Rooms`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RoomsError {
    /// A pattern without anything in it.
    Empty,
    /// A pattern longer than [`MAX_PATTERN`].
    TooLong,
    /// A control character.
    Control,
    /// A star that is neither alone nor at the end behind a slash.
    Star,
    /// More patterns than [`MAX_PATTERNS`].
    TooMany,
}

impl fmt::Display for RoomsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a room without a name"),
            Self::TooLong => write!(f, "a room's name is longer than {MAX_PATTERN} bytes"),
            Self::Control => f.write_str("a control character in a room's name"),
            Self::Star => f.write_str("a * stands alone or at the end behind a slash: /team/*"),
            Self::TooMany => write!(f, "more than {MAX_PATTERNS} rooms"),
        }
    }
}

impl error::Error for RoomsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_say_which_rooms() {
        let rooms: Rooms = "/news /team/*".parse().unwrap();
        for room in ["/news", "/team/a", "/team/a/b", "/team/*"] {
            assert!(rooms.allow(room), "{room}");
        }
        for room in [
            "", "/", "/new", "/news/", "/News", "/team", "/team/", "/teams/a",
        ] {
            assert!(!rooms.allow(room), "{room}");
        }
        assert!(Rooms::all().allow("") && Rooms::all().allow("/any"));
        assert!(!Rooms::none().allow("") && !"".parse::<Rooms>().unwrap().allow(""));
    }

    #[test]
    fn stars_elsewhere_are_mistakes() {
        for text in ["/a*", "**", "*/a", "/*/a", "/a/**", "a*b"] {
            assert_eq!(text.parse::<Rooms>(), Err(RoomsError::Star), "{text}");
        }
        assert!("/*".parse::<Rooms>().unwrap().allow("/x"));
        assert_eq!("/a\u{7}".parse::<Rooms>(), Err(RoomsError::Control));
        assert_eq!(Rooms::from_patterns([""]), Err(RoomsError::Empty));
        let long = "a".repeat(MAX_PATTERN + 1);
        assert_eq!(long.parse::<Rooms>(), Err(RoomsError::TooLong));
        let many = "/a,".repeat(MAX_PATTERNS + 1);
        assert_eq!(many.parse::<Rooms>(), Err(RoomsError::TooMany));
    }

    #[test]
    fn it_ends_in_the_second_named() {
        let mut grant = Grant::everything("a");
        assert!(grant.is_valid(u64::MAX));
        grant.expires = Some(10);
        assert!(grant.is_valid(9) && !grant.is_valid(10));
    }

    proptest! {
        #[test]
        fn written_and_read_they_are_the_same(text in "[a/*, é-]{0,40}") {
            if let Ok(rooms) = text.parse::<Rooms>() {
                prop_assert!(rooms.fit_a_list());
                prop_assert_eq!(rooms.to_string().parse(), Ok(rooms));
            }
        }

        #[test]
        fn a_name_without_a_star_allows_itself_only(name in "/[a-c/]{0,4}", other in "/[a-c/]{0,4}") {
            let rooms = Rooms::from_patterns([&*name]).unwrap();
            prop_assert_eq!(rooms.allow(&other), name == other);
        }
    }
}
