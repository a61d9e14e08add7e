//! The words of pg_hba.conf and pg_ident.conf.
//!
//! A line is fields between blanks, a field is words between commas. `#` begins a comment, quotation marks keep blanks,
//! commas and special meanings away, a backslash at the end of a line joins the next one, `@name` stands for the words
//! of another file.

use std::path::Path;

/// A word; in quotation marks it is no keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

impl Token {
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        !self.is_quoted && self.text == keyword
    }
}

/// A line that is not empty.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    pub(super) fields: Vec<Vec<Token>>,
    /// What is wrong with a file that it names.
    pub(super) error: Option<String>,
}

/// How deep files may name files.
const DEPTH_MAX: usize = 10;

/// The lines of a file that lies in `folder`.
pub(super) fn lines_of(text: &str, folder: &Path) -> Vec<Line> {
    lines_at_depth(text, folder, 0)
}

fn lines_at_depth(text: &str, folder: &Path, depth: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = text.lines().enumerate();
    while let Some((number, line)) = rest.next() {
        let mut joined = line.to_owned();
        while let Some(begun) = joined.strip_suffix('\\') {
            joined = begun.to_owned();
            let Some((_, next)) = rest.next() else { break };
            joined.push_str(next);
        }
        let (fields, error) = fields_of(&joined, folder, depth);
        if !fields.is_empty() || error.is_some() {
            lines.push(Line { number: number + 1, fields, error });
        }
    }
    lines
}

fn fields_of(line: &str, folder: &Path, depth: usize) -> (Vec<Vec<Token>>, Option<String>) {
    let mut fields = Vec::new();
    let mut error = None;
    let mut rest = line.chars().peekable();
    loop {
        let mut field = Vec::new();
        while let Some((token, is_first_quoted, goes_on)) = next_token(&mut rest) {
            match token.text.strip_prefix('@').filter(|name| !is_first_quoted && !name.is_empty()) {
                Some(name) => match included(name, folder, depth) {
                    Ok(mut tokens) => field.append(&mut tokens),
                    Err(why) => error = Some(why),
                },
                None => field.push(token),
            }
            if !goes_on {
                break;
            }
        }
        if field.is_empty() {
            return (fields, error);
        }
        fields.push(field);
    }
}

/// The next word, whether it begins with a quotation mark, and whether its field goes on behind it.
fn next_token(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<(Token, bool, bool)> {
    while rest.next_if(|next| next.is_ascii_whitespace() || *next == ',').is_some() {}
    let mut token = Token { text: String::new(), is_quoted: false };
    let is_first_quoted = rest.peek() == Some(&'"');
    let mut is_within = false;
    let mut goes_on = false;
    while let Some(character) = rest.next() {
        match character {
            '"' if is_within && rest.peek() == Some(&'"') => {
                rest.next();
                token.text.push('"');
            }
            '"' => {
                is_within = !is_within;
                token.is_quoted = true;
            }
            '#' if !is_within => {
                rest.by_ref().for_each(drop);
                break;
            }
            ',' if !is_within => {
                goes_on = true;
                break;
            }
            blank if blank.is_ascii_whitespace() && !is_within => break,
            character => token.text.push(character),
        }
    }
    (token.is_quoted || !token.text.is_empty()).then_some((token, is_first_quoted, goes_on))
}

/// The words of a file that a word names.
fn included(name: &str, folder: &Path, depth: usize) -> Result<Vec<Token>, String> {
    let path = folder.join(name);
    let refused = |why: String| {
        format!("could not open secondary authentication file \"@{name}\" as \"{}\": {why}", path.display())
    };
    if depth >= DEPTH_MAX {
        return Err(refused("maximum nesting depth exceeded".to_owned()));
    }
    let text = super::read(&path).map_err(|error| refused(super::reason(&error)))?;
    let lines = lines_at_depth(&text, path.parent().unwrap_or(folder), depth + 1);
    let mut tokens = Vec::new();
    for line in lines {
        match line.error {
            Some(error) => return Err(error),
            None => tokens.extend(line.fields.into_iter().flatten()),
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |token: &Token| format!("{}{}", if token.is_quoted { "'" } else { "" }, token.text);
        let lines = lines_of(text, Path::new("/nowhere")).into_iter();
        lines
            .map(|line| {
                let fields =
                    line.fields.iter().map(|field| field.iter().map(show).collect::<Vec<_>>().join("+"));
                format!("{}: {}", line.number, fields.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }

    #[test]
    fn lines_are_cut_into_fields_and_words() {
        let text = "# nothing\n\nlocal\tall all trust # why\nhost a,b , c \"all\" \"x y\" md5\nhost \\\n all\n\"a\"\"b\" #";
        assert_eq!(
            shown(text),
            ["3: local all all trust", "4: host a+b c 'all 'x y md5", "5: host all", "7: 'a\"b"]
        );
        let missing = &lines_of("local @missing all trust", Path::new("/nowhere"))[0];
        assert!(
            missing
                .error
                .as_ref()
                .is_some_and(|error| error.contains("\"@missing\" as \"/nowhere/missing\""))
        );
    }
}
