//! EXPLAIN's text format.

use super::tree::{Fact, Node, Value};
use super::{Explained, Options};

/// The lines of a tree.
pub(super) fn lines(node: &Node, explained: &Explained<'_>, options: &Options) -> Vec<String> {
    let mut lines = Vec::new();
    print(node, None, options, &mut lines);
    if !explained.settings.is_empty() {
        let settings = explained.settings.iter();
        let settings: Vec<String> = settings.map(|(name, value)| format!("{name} = '{value}'")).collect();
        lines.push(format!("Settings: {}", settings.join(", ")));
    }
    if options.summary {
        lines.push(format!("Planning Time: {:.3} ms", explained.planning_nanos as f64 / 1e6));
        if options.analyze {
            lines.push(format!("Execution Time: {:.3} ms", explained.execution_nanos as f64 / 1e6));
        }
    }
    lines
}

/// Prints a node whose arrow stands in a column; the first has none.
fn print(node: &Node, column: Option<usize>, options: &Options, lines: &mut Vec<String>) {
    let mut column = column;
    if let (Some(label), Some(at)) = (&node.subplan, &mut column) {
        lines.push(format!("{}{label}", " ".repeat(*at)));
        // A labelled plan stands to the right of its label.
        *at += 2;
    }
    let arrow = column.map_or(String::new(), |column| format!("{}->  ", " ".repeat(column)));
    let mut line = format!("{arrow}{}", node.title);
    if options.costs {
        let (startup, total) = (node.cost.startup, node.cost.total);
        line.push_str(&format!(
            "  (cost={startup:.2}..{total:.2} rows={:.0} width={})",
            node.rows, node.width
        ));
    }
    if let Some(actual) = &node.actual {
        if actual.loops == 0 {
            line.push_str(" (never executed)");
        } else if options.timing {
            line.push_str(&format!(
                " (actual time={:.3}..{:.3} rows={} loops={})",
                actual.startup_ms, actual.total_ms, actual.rows, actual.loops
            ));
        } else {
            line.push_str(&format!(" (actual rows={} loops={})", actual.rows, actual.loops));
        }
    }
    lines.push(line);
    let inside = column.map_or(2, |column| column + 6);
    let indent = " ".repeat(inside);
    for fact in &node.details {
        if let Some(text) = shown(fact) {
            lines.push(format!("{indent}{}: {text}", fact.key));
        }
    }
    if let Some((space, _)) = &node.space {
        lines.push(format!("{indent}{space}"));
    }
    if let Some(buffers) = node.actual.as_ref().and_then(|actual| actual.buffers.as_ref()) {
        let counts = [("hit", buffers.hits), ("read", buffers.reads)];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(word, count)| format!("{word}={count}")).collect();
        if !counts.is_empty() {
            lines.push(format!("{indent}Buffers: shared {}", counts.join(" ")));
        }
    }
    for child in &node.children {
        print(child, Some(inside), options, lines);
    }
}

/// What text shows of a fact; counts of nothing are left out.
fn shown(fact: &Fact) -> Option<String> {
    match &fact.value {
        Value::Text(text) => Some(text.clone()),
        Value::List(texts) => Some(texts.join(", ")),
        Value::Count(0) => None,
        Value::Count(count) => Some(count.to_string()),
    }
}
