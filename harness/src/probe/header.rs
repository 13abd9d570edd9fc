//! A request header that a user asks for: checked, and its value shown to nobody.

use std::fmt;
use std::str::FromStr;

/// The longest header that is sent, in bytes.
const MOST: usize = 8 << 10;
/// Headers that the probe itself sets.
const OWN: [&str; 5] = ["host", "connection", "content-length", "transfer-encoding", "accept-encoding"];

/// A request header. `Debug` and `Display` leave its value out: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

/// Why a text is no header that can be sent. Holds nothing of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No colon.
    #[error("a header is written `Name: value`")]
    Shape,
    /// A name that is none.
    #[error("a header's name is made of letters, digits and `-`")]
    Name,
    /// A line break, a control character, or too long.
    #[error("the value of header `{name}` holds a line break or a control character, or is too long")]
    Value {
        /// The header's name.
        name: String,
    },
    /// One of those that the probe itself sets.
    #[error("header `{name}` is set by the probe itself")]
    Own {
        /// The header's name.
        name: String,
    },
    /// A token file without a token.
    #[error("the file holds no bearer token: one line without spaces is expected")]
    Token,
}

impl Header {
    /// `Authorization: Bearer TOKEN`, the token as a file holds it: with or without a line break at its end.
    ///
    /// # Errors
    /// [`HeaderError::Token`] if that is no token.
    pub fn bearer(file: &str) -> Result<Header, HeaderError> {
        let token = file.trim();
        if token.is_empty() || token.len() > MOST || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HeaderError::Token);
        }
        Ok(Header { name: "Authorization".to_string(), value: format!("Bearer {token}") })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line as it goes over the wire.
    pub(super) fn line(&self) -> String {
        format!("{}: {}\r\n", self.name, self.value)
    }
}

impl FromStr for Header {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Header, HeaderError> {
        let (name, value) = text.split_once(':').ok_or(HeaderError::Shape)?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() > 100 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        {
            return Err(HeaderError::Name);
        }
        if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(HeaderError::Own { name: name.to_string() });
        }
        if value.len() > MOST || !value.bytes().all(|b| b == b'\t' || (b' '..0x7f).contains(&b) || b >= 0x80) {
            return Err(HeaderError::Value { name: name.to_string() });
        }
        Ok(Header { name: name.to_string(), value: value.to_string() })
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_sent_and_what_is_refused() {
        assert_eq!("X-Scope : tenant-1".parse::<Header>().unwrap().line(), "X-Scope: tenant-1\r\n");
        assert_eq!(Header::bearer("s3cret\n").unwrap().line(), "Authorization: Bearer s3cret\r\n");
        for text in ["", "no colon", ": v", "a b: v", "X: a\r\nEvil: 1", "Host: evil", "x: \0"] {
            assert!(text.parse::<Header>().is_err(), "{text:?}");
        }
        for token in ["", "\n", "two words", "a\nb"] {
            assert_eq!(Header::bearer(token), Err(HeaderError::Token), "{token:?}");
        }
    }

    proptest! {
        #[test]
        fn a_value_is_never_shown_and_never_has_a_second_line(value in "[a-z]{12}", junk in ".{0,20}") {
            let header: Header = format!("Authorization: {value}").parse().unwrap();
            let shown = format!("{header:?} {header}");
            prop_assert!(!shown.contains(&value));
            if let Ok(header) = format!("X: {junk}").parse::<Header>() {
                prop_assert_eq!(header.line().matches(['\r', '\n']).count(), 2);
            }
        }
    }
}
