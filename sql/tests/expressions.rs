//! Both evaluators agree, evaluate only what is needed, and follow three-valued logic.

use helios_sql::error::Result;
use helios_sql::expr::{Expr, build};
use helios_sql::functions::{EvalContext, Settings};
use helios_sql::types::DataType;
use helios_sql::value::{Batch, ColumnBuilder, Datum, PhysicalKind};

fn number(value: i32) -> Expr {
    Expr::constant(value, DataType::INT4)
}

fn column() -> Expr {
    Expr::column(0, DataType::INT4)
}

fn operator(name: &str, left: Expr, right: Expr, context: &EvalContext<'_>) -> Expr {
    build::operator(name, Some(left), right, context).expect("binds")
}

/// Evaluates over the rows 0, 1, 2 and NULL both ways.
fn both(expr: &Expr, context: &EvalContext<'_>) -> Result<Vec<Datum>> {
    let values = [Datum::Int32(0), Datum::Int32(1), Datum::Int32(2), Datum::Null];
    let by_row: Result<Vec<Datum>> =
        values.iter().map(|value| expr.eval_row(&vec![value.clone()], context)).collect();
    let mut builder = ColumnBuilder::new(PhysicalKind::Int32, 4);
    for value in values {
        builder.push(value)?;
    }
    let batch = Batch::new(vec![builder.finish()], 4);
    let by_batch = expr.eval_batch(&batch, context).map(|column| (0..4).map(|row| column.get(row)).collect());
    assert_eq!(by_row.is_ok(), by_batch.is_ok());
    if let (Ok(by_row), Ok(by_batch)) = (&by_row, &by_batch) {
        assert_eq!(by_row, by_batch);
    }
    by_batch
}

#[test]
fn untaken_parts_raise_no_error() {
    let settings = Settings::default();
    let context = EvalContext::detached(&settings);
    let inverse = || operator("/", number(10), column(), &context);
    let is_zero = || operator("=", column(), number(0), &context);
    assert!(both(&inverse(), &context).is_err());

    let case = Expr::Case {
        branches: vec![(is_zero(), number(-1))],
        otherwise: Some(Box::new(inverse())),
        data_type: DataType::INT4,
    };
    let expected = vec![Datum::Int32(-1), Datum::Int32(10), Datum::Int32(5), Datum::Null];
    assert_eq!(both(&case, &context).expect("no error"), expected);

    let large = || operator(">", inverse(), number(5), &context);
    let or = Expr::Or(vec![is_zero(), large()]);
    let expected = vec![Datum::Bool(true), Datum::Bool(true), Datum::Bool(false), Datum::Null];
    assert_eq!(both(&or, &context).expect("no error"), expected);

    let and = Expr::And(vec![Expr::Not(Box::new(is_zero())), large()]);
    let expected = vec![Datum::Bool(false), Datum::Bool(true), Datum::Bool(false), Datum::Null];
    assert_eq!(both(&and, &context).expect("no error"), expected);

    // Folding keeps a failing call for the row that reaches it.
    let folded = operator("/", number(1), number(0), &context).fold(&context);
    assert!(matches!(folded, Expr::Call(_)));
}

#[test]
fn nulls_follow_three_valued_logic() {
    let settings = Settings::default();
    let context = EvalContext::detached(&settings);
    let is_one = || operator("=", column(), number(1), &context);
    let null = || Expr::Const { value: Datum::Null, data_type: DataType::BOOL };
    let expected = vec![Datum::Bool(false), Datum::Null, Datum::Bool(false), Datum::Null];
    assert_eq!(both(&Expr::And(vec![is_one(), null()]), &context).expect("no error"), expected);
    assert_eq!(both(&Expr::And(vec![null(), is_one()]), &context).expect("no error"), expected);
    let expected = vec![Datum::Null, Datum::Bool(true), Datum::Null, Datum::Null];
    assert_eq!(both(&Expr::Or(vec![null(), is_one()]), &context).expect("no error"), expected);

    let member = Expr::constant(Datum::Null, DataType::INT4);
    let list = build::in_list(column(), vec![number(1), member], false, &context).expect("binds");
    let expected = vec![Datum::Null, Datum::Bool(true), Datum::Null, Datum::Null];
    assert_eq!(both(&list, &context).expect("no error"), expected);
    assert_eq!(both(&list.fold(&context), &context).expect("no error"), expected);

    let distinct = Expr::IsDistinct { left: Box::new(column()), right: Box::new(number(1)), negated: false };
    let expected = vec![Datum::Bool(true), Datum::Bool(false), Datum::Bool(true), Datum::Bool(true)];
    assert_eq!(both(&distinct, &context).expect("no error"), expected);

    let coalesce = Expr::Coalesce { arguments: vec![column(), number(9)], data_type: DataType::INT4 };
    let expected = vec![Datum::Int32(0), Datum::Int32(1), Datum::Int32(2), Datum::Int32(9)];
    assert_eq!(both(&coalesce, &context).expect("no error"), expected);
}
