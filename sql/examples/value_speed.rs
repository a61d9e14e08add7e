//! How long the value layer's hot paths take: `cargo run --release -p helios_sql --example value_speed`.

use helios_sql::expr::{Expr, build};
use helios_sql::functions::{EvalContext, Settings};
use helios_sql::types::DataType;
use helios_sql::value::key::{self, KeyColumn};
use helios_sql::value::{
    Batch, Column, ColumnBuilder, ColumnData, Datum, Numeric, PhysicalKind, RowColumn, RowLayout,
};
use std::hint::black_box;

/// Prints the mean time of one call over many.
#[allow(clippy::disallowed_methods)] // a benchmark reads the clock
fn measure(name: &str, per_call: usize, mut body: impl FnMut()) {
    let rounds = 200_000 / per_call.min(1000);
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        body();
    }
    let nanos = start.elapsed().as_nanos() as f64 / (rounds * per_call) as f64;
    println!("{name:<40} {nanos:8.2} ns");
}

fn main() {
    let settings = Settings::default();
    let context = EvalContext::detached(&settings);
    let kinds = [PhysicalKind::Int64, PhysicalKind::Text, PhysicalKind::Int32, PhysicalKind::Numeric];
    let layout = RowLayout::new(kinds.map(|kind| RowColumn { kind, missing: Datum::Null }).to_vec());
    let values = [
        Datum::Int64(42),
        Datum::text("a name of someone"),
        Datum::Int32(7),
        Datum::Numeric(Numeric::new(12_345, 2)),
    ];
    let mut bytes = Vec::new();
    layout.encode(3, &values, &mut bytes).expect("encodes");
    let mut buffer = Vec::new();
    measure("row encode (4 columns)", 1, || {
        buffer.clear();
        layout.encode(3, black_box(&values), &mut buffer).expect("encodes");
    });
    measure("row view, one integer column", 1, || {
        black_box(layout.view(black_box(&bytes)).and_then(|view| view.get(2)).expect("reads"));
    });
    measure("row view, one text column", 1, || {
        black_box(layout.view(black_box(&bytes)).and_then(|view| view.get(1)).expect("reads"));
    });
    let column = KeyColumn::ascending(DataType::INT8, PhysicalKind::Int64);
    measure("key encode bigint", 1, || {
        buffer.clear();
        key::encode(&column, black_box(&values[0]), &mut buffer);
    });
    let id = || Expr::column(0, DataType::INT8);
    let number = |value: i64| Expr::constant(value, DataType::INT8);
    let condition = build::operator("=", Some(id()), number(42), &context).expect("binds");
    let view = layout.view(&bytes).expect("opens");
    measure("eval_row bigint = constant", 1, || {
        black_box(condition.eval_row(black_box(&view), &context).expect("evaluates"));
    });
    let mut builders: Vec<ColumnBuilder> = kinds.iter().map(|&kind| ColumnBuilder::new(kind, 1024)).collect();
    measure("decode into builders (4 columns)", 1024, || {
        builders = kinds.iter().map(|&kind| ColumnBuilder::new(kind, 1024)).collect();
        for _ in 0..1024 {
            layout
                .decode_into(&layout.view(&bytes).expect("a row"), &[0, 1, 2, 3], &mut builders)
                .expect("decodes");
        }
    });
    let rows = 1024;
    let batch = Batch::new(vec![Column::new(ColumnData::Int64((0..rows as i64).collect()), None)], rows);
    let filter = build::operator("<", Some(id()), number(500), &context).expect("binds");
    measure("batch bigint < constant", rows, || {
        black_box(filter.eval_batch(black_box(&batch), &context).expect("evaluates"));
    });
    let sum = build::operator("+", Some(id()), number(1), &context).expect("binds");
    measure("batch bigint + constant", rows, || {
        black_box(sum.eval_batch(black_box(&batch), &context).expect("evaluates"));
    });
    let decimals = (0..rows as i128).map(|value| Numeric::new(value, 2)).collect();
    let batch = Batch::new(vec![Column::new(ColumnData::Numeric(decimals), None)], rows);
    let price = || Expr::column(0, DataType::NUMERIC);
    let product = build::operator("*", Some(price()), price(), &context).expect("binds");
    measure("batch numeric * numeric", rows, || {
        black_box(product.eval_batch(black_box(&batch), &context).expect("evaluates"));
    });
}
