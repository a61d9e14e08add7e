//! Aggregates of pairs: correlation, covariance and linear regression (`regr_*`), by Youngs and Cramer.

use super::aggregate::{Accumulator, Count, states};
use super::registry::Registry;
use super::{AggregateState, CallTypes, EvalContext};
use crate::error::Result;
use crate::types::DataType;
use crate::types::oids::{FLOAT8, INT8};
use crate::value::Datum;

/// Pairs of doubles (Y, X): counts, sums, and sums of squared and mixed differences from the means.
#[derive(Clone, Copy, Default)]
struct Pairs {
    count: f64,
    sum_x: f64,
    sum_y: f64,
    squares_x: f64,
    squares_y: f64,
    products: f64,
}

impl Pairs {
    fn add_pair(&mut self, y: f64, x: f64) {
        self.count += 1.0;
        self.sum_x += x;
        self.sum_y += y;
        if self.count > 1.0 {
            let difference_x = x * self.count - self.sum_x;
            let difference_y = y * self.count - self.sum_y;
            let scale = 1.0 / (self.count * (self.count - 1.0));
            self.squares_x += difference_x * difference_x * scale;
            self.squares_y += difference_y * difference_y * scale;
            self.products += difference_x * difference_y * scale;
        } else {
            if !x.is_finite() {
                (self.squares_x, self.products) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.squares_y, self.products) = (f64::NAN, f64::NAN);
            }
        }
    }

    fn merge_pairs(&mut self, other: &Pairs) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = *other;
            return;
        }
        let count = self.count + other.count;
        let difference_x = self.sum_x / self.count - other.sum_x / other.count;
        let difference_y = self.sum_y / self.count - other.sum_y / other.count;
        let weight = self.count * other.count / count;
        self.squares_x += other.squares_x + weight * difference_x * difference_x;
        self.squares_y += other.squares_y + weight * difference_y * difference_y;
        self.products += other.products + weight * difference_x * difference_y;
        self.sum_x += other.sum_x;
        self.sum_y += other.sum_y;
        self.count = count;
    }
}

macro_rules! pair_accumulator {
    ($name:ident, |$state:ident| $finish:expr) => {
        #[derive(Clone, Default)]
        struct $name(Pairs);

        impl Accumulator for $name {
            fn add(&mut self, arguments: &[Datum], _: &[DataType], _: &EvalContext<'_>) -> Result<()> {
                if let [Datum::Float64(y), Datum::Float64(x)] = arguments {
                    self.0.add_pair(*y, *x);
                }
                Ok(())
            }

            fn merge(&mut self, other: &$name) -> Result<()> {
                self.0.merge_pairs(&other.0);
                Ok(())
            }

            fn finish(&self, _: &[DataType], _: DataType, _: &EvalContext<'_>) -> Result<Datum> {
                let $state = &self.0;
                let result: Option<f64> = $finish;
                Ok(result.map_or(Datum::Null, Datum::Float64))
            }
        }
    };
}

pair_accumulator!(Correlation, |s| {
    (s.count > 0.0 && s.squares_x != 0.0 && s.squares_y != 0.0)
        .then(|| s.products / (s.squares_x * s.squares_y).sqrt())
});
pair_accumulator!(CovariancePopulation, |s| (s.count > 0.0).then(|| s.products / s.count));
pair_accumulator!(CovarianceSample, |s| (s.count > 1.0).then(|| s.products / (s.count - 1.0)));
pair_accumulator!(AverageX, |s| (s.count > 0.0).then(|| s.sum_x / s.count));
pair_accumulator!(AverageY, |s| (s.count > 0.0).then(|| s.sum_y / s.count));
pair_accumulator!(SquaresX, |s| (s.count > 0.0).then_some(s.squares_x));
pair_accumulator!(SquaresY, |s| (s.count > 0.0).then_some(s.squares_y));
pair_accumulator!(Products, |s| (s.count > 0.0).then_some(s.products));
pair_accumulator!(Slope, |s| (s.count > 0.0 && s.squares_x != 0.0).then(|| s.products / s.squares_x));
pair_accumulator!(Intercept, |s| {
    (s.count > 0.0 && s.squares_x != 0.0).then(|| (s.sum_y - s.sum_x * s.products / s.squares_x) / s.count)
});
pair_accumulator!(Determination, |s| {
    (s.count > 0.0 && s.squares_x != 0.0)
        .then(|| if s.squares_y == 0.0 { 1.0 } else { s.products * s.products / (s.squares_x * s.squares_y) })
});

pub(super) fn register(registry: &mut Registry) {
    type Init = fn(&CallTypes<'_>) -> Box<dyn AggregateState>;
    let pairs: [(&'static str, Init); 11] = [
        ("corr", states::<Correlation>),
        ("covar_pop", states::<CovariancePopulation>),
        ("covar_samp", states::<CovarianceSample>),
        ("regr_avgx", states::<AverageX>),
        ("regr_avgy", states::<AverageY>),
        ("regr_sxx", states::<SquaresX>),
        ("regr_syy", states::<SquaresY>),
        ("regr_sxy", states::<Products>),
        ("regr_slope", states::<Slope>),
        ("regr_intercept", states::<Intercept>),
        ("regr_r2", states::<Determination>),
    ];
    for (name, init) in pairs {
        registry.add_aggregate(name, &[FLOAT8, FLOAT8], FLOAT8, init);
    }
    registry.add_aggregate("regr_count", &[FLOAT8, FLOAT8], INT8, states::<Count>).zero_when_empty = true;
}
