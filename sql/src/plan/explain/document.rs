//! A tree as a document of keys and values, as PostgreSQL's other formats than text have it.

use super::tree::{Node, Value};
use super::{Explained, Options};

/// A part of a document.
pub(super) enum Part {
    Text(String),
    /// A number or a truth value, printed as it is.
    Bare(String),
    List(Vec<Part>),
    Group(Vec<(String, Part)>),
}

/// The document of a statement.
pub(super) fn of(node: &Node, explained: &Explained<'_>, options: &Options) -> Part {
    let mut query = vec![(String::from("Plan"), Part::Group(node_keys(node, options)))];
    if options.settings && !explained.settings.is_empty() {
        let settings = explained.settings.iter();
        let settings = settings.map(|(name, value)| (name.clone(), Part::Text(value.clone())));
        query.push((String::from("Settings"), Part::Group(settings.collect())));
    }
    let milliseconds = |nanos: u64| Part::Bare(format!("{:.3}", nanos as f64 / 1e6));
    if options.summary {
        query.push((String::from("Planning Time"), milliseconds(explained.planning_nanos)));
    }
    if options.analyze {
        query.push((String::from("Triggers"), Part::List(Vec::new())));
        if options.summary {
            query.push((String::from("Execution Time"), milliseconds(explained.execution_nanos)));
        }
    }
    Part::Group(query)
}

fn node_keys(node: &Node, options: &Options) -> Vec<(String, Part)> {
    let mut keys: Vec<(String, Part)> = Vec::new();
    let mut put = |key: &str, part: Part| keys.push((key.to_string(), part));
    let text = |text: &str| Part::Text(text.to_string());
    put("Node Type", text(node.kind));
    for fact in node.facts.iter().filter(|fact| fact.is_first) {
        put(fact.key, part(&fact.value));
    }
    if let Some(relationship) = node.relationship {
        put("Parent Relationship", text(relationship));
    }
    if let Some(label) = &node.subplan {
        put("Subplan Name", text(label));
    }
    put("Parallel Aware", Part::Bare(node.is_shared.to_string()));
    put("Async Capable", Part::Bare("false".into()));
    for fact in node.facts.iter().filter(|fact| !fact.is_first) {
        put(fact.key, part(&fact.value));
    }
    if options.costs {
        put("Startup Cost", Part::Bare(format!("{:.2}", node.cost.startup)));
        put("Total Cost", Part::Bare(format!("{:.2}", node.cost.total)));
        put("Plan Rows", Part::Bare(format!("{:.0}", node.rows)));
        put("Plan Width", Part::Bare(node.width.to_string()));
    }
    if let Some(actual) = &node.actual {
        if options.timing {
            put("Actual Startup Time", Part::Bare(format!("{:.3}", actual.startup_ms)));
            put("Actual Total Time", Part::Bare(format!("{:.3}", actual.total_ms)));
        }
        put("Actual Rows", Part::Bare(actual.rows.to_string()));
        put("Actual Loops", Part::Bare(actual.loops.to_string()));
    }
    for fact in node.details.iter().chain(node.space.iter().flat_map(|(_, facts)| facts)) {
        put(fact.key, part(&fact.value));
    }
    if options.buffers {
        let buffers = node.actual.as_ref().and_then(|actual| actual.buffers.clone()).unwrap_or_default();
        let counts = [("Shared Hit Blocks", buffers.hits), ("Shared Read Blocks", buffers.reads)];
        let others = [
            "Shared Dirtied Blocks",
            "Shared Written Blocks",
            "Local Hit Blocks",
            "Local Read Blocks",
            "Local Dirtied Blocks",
            "Local Written Blocks",
            "Temp Read Blocks",
            "Temp Written Blocks",
        ];
        for (key, count) in counts.into_iter().chain(others.map(|key| (key, 0))) {
            put(key, Part::Bare(count.to_string()));
        }
    }
    if options.wal {
        // A statement writes nothing to the log: its transaction's commit does.
        for key in ["WAL Records", "WAL FPI", "WAL Bytes"] {
            put(key, Part::Bare("0".into()));
        }
    }
    if !node.children.is_empty() {
        let plans = node.children.iter().map(|child| Part::Group(node_keys(child, options)));
        put("Plans", Part::List(plans.collect()));
    }
    keys
}

fn part(value: &Value) -> Part {
    match value {
        Value::Text(text) => Part::Text(text.clone()),
        Value::List(texts) => Part::List(texts.iter().map(|text| Part::Text(text.clone())).collect()),
        Value::Count(count) => Part::Bare(count.to_string()),
    }
}
