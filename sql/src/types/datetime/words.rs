//! The words of dates and times, other than zones.

/// What a label before a number says that the number is (`Y2001M12D27`, `J2451545`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Julian,
    /// `T`: a time follows.
    Time,
    /// Names a field that no input has (`isodow`).
    Unusable,
}

/// What a word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Ignored,
    /// From 1.
    Month(i32),
    DayOfWeek,
    Afternoon(bool),
    BeforeChrist(bool),
    Label(Label),
    /// The zone before is one hour ahead.
    Daylight,
    Now,
    /// Days after today.
    Day(i32),
    /// Midnight in UTC.
    AllBalls,
    Epoch,
    Infinity,
    NegativeInfinity,
}

/// A month's or a weekday's number by any of its names, from 0.
fn named(word: &str, full: &[&str], more: &[(&str, usize)]) -> Option<usize> {
    full.iter()
        .position(|name| word == *name || word == &name[..3])
        .or_else(|| more.iter().find(|(name, _)| word == *name).map(|found| found.1))
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// The meaning of a word in small letters.
pub(super) fn find(word: &str) -> Option<Word> {
    if let Some(month) = named(word, &MONTHS, &[("sept", 8)]) {
        return i32::try_from(month + 1).ok().map(Word::Month);
    }
    if named(word, &DAYS, &[("tues", 2), ("weds", 3), ("thur", 4), ("thurs", 4)]).is_some() {
        return Some(Word::DayOfWeek);
    }
    Some(match word {
        "at" | "on" => Word::Ignored,
        "am" => Word::Afternoon(false),
        "pm" => Word::Afternoon(true),
        "ad" => Word::BeforeChrist(false),
        "bc" => Word::BeforeChrist(true),
        "y" => Word::Label(Label::Year),
        "m" => Word::Label(Label::Month),
        "d" => Word::Label(Label::Day),
        "h" => Word::Label(Label::Hour),
        "mm" => Word::Label(Label::Minute),
        "s" => Word::Label(Label::Second),
        "j" | "jd" | "julian" => Word::Label(Label::Julian),
        "t" => Word::Label(Label::Time),
        "dow" | "doy" | "isodow" | "isoyear" => Word::Label(Label::Unusable),
        "dst" => Word::Daylight,
        "now" => Word::Now,
        "yesterday" => Word::Day(-1),
        "today" => Word::Day(0),
        "tomorrow" => Word::Day(1),
        "allballs" => Word::AllBalls,
        "epoch" => Word::Epoch,
        "infinity" => Word::Infinity,
        "-infinity" => Word::NegativeInfinity,
        _ => return None,
    })
}
