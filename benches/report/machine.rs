//! What each bench has met before it began.

use crate::tables::table;

/// A bench, a property and its value.
pub(crate) type Property = [String; 3];

/// What all have met alike, and then a line for each bench of what differs.
pub(crate) fn section(properties: &[Property]) -> String {
    let benches = distinct(properties.iter().map(|property| &property[0]));
    let names = distinct(properties.iter().map(|property| &property[1]));
    let (same, other): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| distinct(values(properties, name)).len() == 1);
    let value = |name| values(properties, name).next().cloned().unwrap_or_default();
    let same = table(&["", ""], same.into_iter().map(|name| vec![name.to_owned(), value(name)]));
    if other.is_empty() {
        return same;
    }
    let columns: Vec<&str> = ["bench"].into_iter().chain(other.iter().copied()).collect();
    let lines = benches.into_iter().map(|bench| {
        let value = |name: &&str| {
            let met = properties.iter().find(|it| it[0] == bench && it[1] == *name);
            met.map_or(String::new(), |it| it[2].clone())
        };
        [bench.to_owned()].into_iter().chain(other.iter().map(value)).collect()
    });
    format!("{same}\n{}", table(&columns, lines))
}

/// What this property is for each bench.
fn values<'a>(properties: &'a [Property], name: &'a str) -> impl Iterator<Item = &'a String> {
    properties.iter().filter(move |property| property[1] == name).map(|property| &property[2])
}

/// Each once, where it comes first.
fn distinct<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for one in all {
        if !distinct.contains(&one.as_str()) {
            distinct.push(one);
        }
    }
    distinct
}
