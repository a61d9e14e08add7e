//! What is done to a statement's tokens before sqlparser sees them, for what it does not know or knows in one form only.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::definition::{Definition, TableLike};
use super::utility::{self, Overriding, Utility};
use super::{Source, StatementKind, create, sequence};
use crate::error::Result;

/// What was taken out of a statement.
pub(super) struct Taken {
    overriding: Option<Overriding>,
    deferrable: Option<bool>,
    /// COPY's WHERE.
    row_condition: Option<Box<ast::Expr>>,
    without_data: bool,
    names: Vec<ast::Ident>,
    likes: Vec<TableLike>,
    /// The type of a typed table.
    of_type: Option<ast::ObjectName>,
}

impl Taken {
    /// Rewrites a statement's tokens.
    pub fn from(tokens: &mut Vec<TokenWithSpan>, source: &Source<'_>) -> Result<Taken> {
        refuse_subscripts(tokens, source)?;
        create::prepare(tokens, source)?;
        let of_type = super::typed_table::take_type(tokens, source)?;
        spell_copy_flags(tokens);
        sequence::order_identity_options(tokens);
        Ok(Taken {
            overriding: take_overriding(tokens),
            deferrable: take_deferrable(tokens),
            row_condition: take_row_condition(tokens, source)?,
            without_data: take_data_clause(tokens),
            names: take_column_names(tokens),
            likes: take_likes(tokens, source)?,
            of_type,
        })
    }

    /// The definition that a statement is, with what was taken out of it.
    pub fn definition_of(
        &mut self,
        statement: ast::Statement,
    ) -> std::result::Result<Definition, Box<ast::Statement>> {
        definition_of(statement, self)
    }

    /// The statement with what was taken out of it.
    pub fn complete(self, statement: Box<ast::Statement>) -> StatementKind {
        if let Some(overriding) = self.overriding {
            return StatementKind::Utility(Utility::InsertOverriding { insert: statement, overriding });
        }
        if let Some(deferrable) = self.deferrable {
            return StatementKind::Utility(Utility::Deferrable { statement, deferrable });
        }
        match self.row_condition {
            Some(condition) => StatementKind::Utility(Utility::CopyWhere { copy: statement, condition }),
            None => StatementKind::Sql(statement),
        }
    }
}

/// 42601 for a subscript right behind `ARRAY[…]`, which wants parentheses. Texts that are stored may have one.
fn refuse_subscripts(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<()> {
    let mut constructs: Vec<bool> = Vec::new();
    let (mut ends_array, mut before_is_array) = (false, false);
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        let ended = std::mem::take(&mut ends_array);
        match token.token {
            Token::LBracket if ended => return Err(super::syntax_error_at(token, source)),
            Token::LBracket => constructs.push(before_is_array),
            Token::RBracket => ends_array = constructs.pop().unwrap_or(false),
            _ => {}
        }
        before_is_array = utility::word(token) == "array";
    }
    Ok(())
}

/// Takes `[NOT] DEFERRABLE` out of the modes of a transaction; where it is said again, the last counts.
fn take_deferrable(tokens: &mut Vec<TokenWithSpan>) -> Option<bool> {
    let words: Vec<String> = tokens.iter().take(5).map(utility::word).collect();
    let begins = matches!(words.first().map(String::as_str), Some("begin" | "start"));
    let sets =
        words.first().is_some_and(|first| first == "set") && words.iter().any(|word| word == "transaction");
    if !begins && !sets {
        return None;
    }
    let mut taken = None;
    while let Some(place) = tokens.iter().position(|token| utility::word(token) == "deferrable") {
        let is_not = place > 0 && utility::word(&tokens[place - 1]) == "not";
        let start = place - usize::from(is_not);
        taken = Some(!is_not);
        let comma_before = start > 0 && tokens[start - 1].token == Token::Comma;
        let comma_behind = tokens.get(place + 1).is_some_and(|next| next.token == Token::Comma);
        let start = start - usize::from(comma_before);
        tokens.drain(start..=place + usize::from(comma_behind && !comma_before));
    }
    taken
}

/// Takes WHERE off the end of COPY … FROM.
fn take_row_condition(
    tokens: &mut Vec<TokenWithSpan>,
    source: &Source<'_>,
) -> Result<Option<Box<ast::Expr>>> {
    if tokens.first().is_none_or(|first| utility::word(first) != "copy") {
        return Ok(None);
    }
    let (mut depth, mut loads, mut found) = (0usize, false, None);
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(_) if depth == 0 => match utility::word(token).as_str() {
                "from" => loads = true,
                "where" if loads => {
                    found = Some(at);
                    break;
                }
                _ => {}
            },
            _ => {}
        }
    }
    let Some(place) = found else { return Ok(None) };
    let condition = tokens.split_off(place);
    let mut parser = super::parser_over(condition[1..].to_vec());
    let expression = parser.parse_expr().map_err(|error| super::syntax_error(&error, source, &condition))?;
    super::expect_end(&parser, source)?;
    Ok(Some(Box::new(expression)))
}

/// COPY's flags may be given as ON and OFF, where sqlparser knows TRUE and FALSE alone.
fn spell_copy_flags(tokens: &mut [TokenWithSpan]) {
    let is = |token: &TokenWithSpan, wanted: Keyword| matches!(&token.token, Token::Word(word) if word.keyword == wanted);
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    if !tokens.iter().find(|token| !blank(token)).is_some_and(|first| is(first, Keyword::COPY)) {
        return;
    }
    let mut after_flag = false;
    for token in tokens.iter_mut().filter(|token| !blank(token)) {
        if after_flag && is(token, Keyword::ON) {
            token.token = Token::make_keyword("TRUE");
        } else if after_flag && is(token, Keyword::OFF) {
            token.token = Token::make_keyword("FALSE");
        }
        after_flag = is(token, Keyword::FREEZE) || is(token, Keyword::HEADER);
    }
}

/// Takes OVERRIDING … VALUE out of an INSERT: sqlparser does not know it.
fn take_overriding(tokens: &mut Vec<TokenWithSpan>) -> Option<Overriding> {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let words: Vec<String> = places.iter().map(|at| utility::word(&tokens[*at])).collect();
    if words.first().is_none_or(|first| first != "insert") {
        return None;
    }
    let start = words.windows(3).position(|window| window[0] == "overriding" && window[2] == "value")?;
    let overriding = match words[start + 1].as_str() {
        "system" => Overriding::System,
        "user" => Overriding::User,
        _ => return None,
    };
    tokens.drain(places[start]..=places[start + 2]);
    Some(overriding)
}

/// Takes WITH [NO] DATA off the end of CREATE TABLE … AS; tells whether it said NO.
fn take_data_clause(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let words: Vec<String> = places.iter().map(|at| utility::word(&tokens[*at])).collect();
    if words.first().is_none_or(|first| first != "create") || !words.iter().any(|word| word == "table") {
        return false;
    }
    let tail: Vec<&str> = words.iter().rev().take(3).map(String::as_str).collect();
    let (count, without) = match tail.as_slice() {
        ["data", "no", "with"] => (3, true),
        ["data", "with", ..] => (2, false),
        _ => return false,
    };
    tokens.truncate(places[places.len() - count]);
    without
}

/// Takes the columns' names out of `CREATE TABLE t (a, b) AS …`: sqlparser wants types there.
fn take_column_names(tokens: &mut Vec<TokenWithSpan>) -> Vec<ast::Ident> {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let word_at = |at: usize| places.get(at).map_or_else(String::new, |place| utility::word(&tokens[*place]));
    if word_at(0) != "create" || !(1..4).any(|at| word_at(at) == "table") {
        return Vec::new();
    }
    let token_at = |at: usize| places.get(at).map(|place| &tokens[*place].token);
    let Some(open) = (0..places.len()).find(|at| token_at(*at) == Some(&Token::LParen)) else {
        return Vec::new();
    };
    // Storage parameters, ON COMMIT and the like may come first.
    let is_as = |at: usize| {
        word_at(at) == "as"
            || (matches!(word_at(at).as_str(), "on" | "with" | "using" | "without" | "tablespace")
                && (at..places.len()).any(|at| word_at(at) == "as"))
    };
    let mut names = Vec::new();
    let mut at = open + 1;
    loop {
        let (Some(Token::Word(word)), Some(next)) = (token_at(at), token_at(at + 1)) else {
            return Vec::new();
        };
        names.push(word.clone().into_ident(tokens[places[at]].span));
        at += 2;
        match next {
            Token::Comma => {}
            Token::RParen if is_as(at) => break,
            _ => return Vec::new(),
        }
    }
    tokens.drain(places[open]..=places[at - 1]);
    names
}

/// Takes the LIKE clauses out of CREATE TABLE's list: sqlparser knows them only where nothing else is there.
fn take_likes(tokens: &mut Vec<TokenWithSpan>, source: &Source<'_>) -> Result<Vec<TableLike>> {
    let is_blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let words: Vec<String> = tokens.iter().filter(|token| !is_blank(token)).map(utility::word).collect();
    let head = words.first().is_some_and(|first| first == "create")
        && words.iter().take(4).any(|word| word == "table");
    if !head || !words.iter().any(|word| word == "like") {
        return Ok(Vec::new());
    }
    let Some(open) = tokens.iter().position(|token| token.token == Token::LParen) else {
        return Ok(Vec::new());
    };
    // The elements of the list, by their tokens.
    let (mut depth, mut close) = (0, None);
    let mut elements: Vec<Vec<TokenWithSpan>> = vec![Vec::new()];
    for (at, token) in tokens.iter().enumerate().skip(open + 1) {
        match token.token {
            Token::RParen if depth == 0 => {
                close = Some(at);
                break;
            }
            Token::Comma if depth == 0 => {
                elements.push(Vec::new());
                continue;
            }
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if let Some(element) = elements.last_mut().filter(|_| !is_blank(token)) {
            element.push(token.clone());
        }
    }
    let Some(close) = close else { return Ok(Vec::new()) };
    let is_like = |element: &Vec<TokenWithSpan>| {
        element.first().is_some_and(|first| utility::word(first) == "like") && element.len() > 1
    };
    if !elements.iter().any(is_like) {
        return Ok(Vec::new());
    }
    let (mut likes, mut rest, mut columns) = (Vec::new(), Vec::new(), 0);
    for element in elements {
        if is_like(&element) {
            likes.push(table_like(element, columns, source)?);
            continue;
        }
        let first = element.first().map(utility::word).unwrap_or_default();
        let is_constraint =
            matches!(first.as_str(), "constraint" | "primary" | "unique" | "check" | "foreign" | "exclude");
        columns += usize::from(!is_constraint);
        if !rest.is_empty() {
            rest.push(TokenWithSpan::wrap(Token::Comma));
        }
        rest.extend(element);
    }
    tokens.splice(open + 1..close, rest);
    Ok(likes)
}

/// `LIKE table [{ INCLUDING | EXCLUDING } what] …`
fn table_like(element: Vec<TokenWithSpan>, at: usize, source: &Source<'_>) -> Result<TableLike> {
    let mut parser = super::parser_over(element);
    parser.next_token();
    let table = utility::name(&mut parser, source)?;
    let mut including: Vec<String> = Vec::new();
    loop {
        let includes = utility::accept(&mut parser, "including");
        if !includes && !utility::accept(&mut parser, "excluding") {
            break;
        }
        let what = utility::word(parser.peek_token_ref());
        const ALL: [&str; 9] = [
            "comments",
            "compression",
            "constraints",
            "defaults",
            "generated",
            "identity",
            "indexes",
            "statistics",
            "storage",
        ];
        parser.next_token();
        match what.as_str() {
            "all" if includes => including = ALL.map(String::from).to_vec(),
            "all" => including.clear(),
            _ if !ALL.contains(&what.as_str()) => {
                return Err(super::syntax_error_at(parser.get_current_token(), source));
            }
            _ if includes => including.push(what),
            _ => including.retain(|each| *each != what),
        }
    }
    super::expect_end(&parser, source)?;
    Ok(TableLike { at, table, including })
}

/// The definition that a statement is, where sqlparser has it in another form.
fn definition_of(
    statement: ast::Statement,
    taken: &mut Taken,
) -> std::result::Result<Definition, Box<ast::Statement>> {
    match statement {
        ast::Statement::CreateTable(create) if let Some(of) = taken.of_type.take() => {
            Ok(Definition::CreateTyped { create: Box::new(create), of })
        }
        ast::Statement::CreateTable(create) if !taken.likes.is_empty() => {
            let likes = std::mem::take(&mut taken.likes);
            Ok(Definition::CreateLike { create: Box::new(create), likes })
        }
        ast::Statement::CreateTable(create) if taken.without_data || !taken.names.is_empty() => {
            let names = std::mem::take(&mut taken.names);
            Ok(Definition::CreateAs { create: Box::new(create), names, with_data: !taken.without_data })
        }
        ast::Statement::Query(mut query) => {
            let into = match query.body.as_mut() {
                ast::SetExpr::Select(select) => select.into.take(),
                _ => None,
            };
            let Some(into) = into else { return Err(Box::new(ast::Statement::Query(query))) };
            let parts = match into.targets.first() {
                Some(ast::Expr::Identifier(name)) => vec![name.clone()],
                Some(ast::Expr::CompoundIdentifier(parts)) => parts.clone(),
                _ => Vec::new(),
            };
            let target = ast::ObjectName::from(parts);
            Ok(Definition::SelectInto { target, temporary: into.temporary, unlogged: into.unlogged, query })
        }
        other => Err(Box::new(other)),
    }
}
