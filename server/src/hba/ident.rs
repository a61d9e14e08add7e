//! pg_ident.conf: which roles the users of the operating system, and the owners of certificates, may be.
//!
//! A line is a map's name, a user's name and a role's. A user's name that begins with a slash is a regular expression,
//! whose first group stands for `\1` in the role's name.

use std::path::Path;

use regex::Regex;

use super::rule::Complaint;
use super::tokens::{Line, lines_of};

/// A line.
struct Mapping {
    map: String,
    user: UserPattern,
    role: String,
}

enum UserPattern {
    Name(String),
    Expression(Regex),
}

/// The maps.
#[derive(Default)]
pub(crate) struct Maps {
    mappings: Vec<Mapping>,
}

impl Maps {
    /// Reads a file's text; a line that cannot be understood is told with its number.
    pub(super) fn read(text: &str, folder: &Path) -> Result<Maps, (usize, Complaint)> {
        let read = |line: Line| read_mapping(&line).map_err(|complaint| (line.number, complaint));
        let mappings = lines_of(text, folder).into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Maps { mappings })
    }

    /// Whether a user may be a role: by a map, or without one under the same name.
    pub(crate) fn allow(&self, map: Option<&str>, user: &str, role: &str) -> bool {
        let Some(map) = map else { return user == role };
        self.mappings.iter().filter(|mapping| mapping.map == map).any(|mapping| mapping.allows(user, role))
    }
}

impl Mapping {
    fn allows(&self, user: &str, role: &str) -> bool {
        match &self.user {
            UserPattern::Name(name) => name == user && self.role == role,
            UserPattern::Expression(expression) => expression.captures(user).is_some_and(|found| {
                let group = found.get(1).map_or("", |group| group.as_str());
                self.role.replacen("\\1", group, 1) == role
            }),
        }
    }
}

fn read_mapping(line: &Line) -> Result<Mapping, Complaint> {
    if let Some(error) = &line.error {
        return Err(error.clone().into());
    }
    let mut fields = line.fields.iter();
    let mut word = || match fields.next().map(Vec::as_slice) {
        Some([token]) => Ok(token.text.clone()),
        Some(_) => Err(Complaint::from("multiple values in ident field")),
        None => Err(Complaint::from("missing entry at end of line")),
    };
    let (map, user, role) = (word()?, word()?, word()?);
    let user = match user.strip_prefix('/') {
        Some(expression) => UserPattern::Expression(
            Regex::new(expression)
                .map_err(|error| format!("invalid regular expression \"{expression}\": {error}"))?,
        ),
        None => UserPattern::Name(user),
    };
    Ok(Mapping { map, user, role })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_mapped_by_name_and_by_expression() {
        let text = "m root postgres\nm /^(.*)@here$ \\1\nother root anna";
        let maps = Maps::read(text, Path::new("/")).unwrap_or_else(|_| panic!("valid"));
        for (map, user, role, is_allowed) in [
            (Some("m"), "root", "postgres", true),
            (Some("m"), "root", "anna", false),
            (Some("other"), "root", "anna", true),
            (Some("m"), "anna@here", "anna", true),
            (Some("m"), "anna@there", "anna", false),
            (Some("none"), "root", "root", false),
            (None, "root", "root", true),
            (None, "root", "postgres", false),
        ] {
            assert_eq!(maps.allow(map, user, role), is_allowed, "{map:?} {user} {role}");
        }
        for (text, message) in [
            ("m a", "missing entry at end of line"),
            ("m a,b c", "multiple values in ident field"),
            ("m /( c", "invalid regular expression"),
        ] {
            let Err((1, complaint)) = Maps::read(text, Path::new("/")) else { panic!("{text} is taken") };
            assert!(complaint.message.starts_with(message), "{}", complaint.message);
        }
    }
}
