//! A line through figures over time, and how sure it is.

use std::fmt;

/// Figures are averaged over so many parts of the time, so that their noise from one look to the next counts as one.
const PARTS: usize = 10;
/// Of a line through ten points a slope is below its estimate and so many standard errors in 95 of 100 cases (Student's t with
/// eight degrees of freedom, one-sided).
const ERRORS: f64 = 1.86;
const SECONDS_PER_HOUR: f64 = 3_600.0;

/// How a figure changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Its mean.
    pub mean: f64,
    /// By how much it changes over the time.
    pub grown: f64,
    /// By how much of its mean it changes in an hour, in percent.
    pub percent_an_hour: f64,
    /// How far off that may be, in percent an hour.
    pub error: f64,
}

impl Slope {
    /// Through figures `(seconds, value)` in the order of time. Of fewer than there are parts nothing can be said: the error is
    /// infinite.
    pub fn through(figures: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let figures: Vec<(f64, f64)> = figures.into_iter().collect();
        let mean = mean(figures.iter().map(|figure| figure.1));
        if figures.len() < PARTS || mean == 0.0 {
            return Self {
                mean,
                grown: 0.0,
                percent_an_hour: 0.0,
                error: if figures.len() < PARTS {
                    f64::INFINITY
                } else {
                    0.0
                },
            };
        }
        let points: Vec<(f64, f64)> = (0..PARTS)
            .map(|part| {
                let of = figures.len();
                let part = &figures[part * of / PARTS..(part + 1) * of / PARTS];
                (
                    self::mean(part.iter().map(|figure| figure.0)),
                    self::mean(part.iter().map(|figure| figure.1)),
                )
            })
            .collect();
        let (slope, error) = line(&points);
        let seconds = figures[figures.len() - 1].0 - figures[0].0;
        let percent_an_hour = SECONDS_PER_HOUR * 100.0 / mean;
        Self {
            mean,
            grown: slope * seconds,
            percent_an_hour: slope * percent_an_hour,
            error: ERRORS * error * percent_an_hour.abs(),
        }
    }

    /// Whether it grows by more than that in an hour, its error taken off.
    #[must_use]
    pub fn surely_above(&self, percent: f64) -> bool {
        self.percent_an_hour - self.error > percent
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mean,
            percent_an_hour,
            error,
            grown,
        } = self;
        write!(
            formatter,
            "{mean:.2} on average, {grown:+.2} in that time, {percent_an_hour:+.2} ± {error:.2} % an hour"
        )
    }
}

fn mean(figures: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = figures.fold((0.0, 0_u32), |(sum, count), figure| {
        (sum + figure, count + 1)
    });
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

/// The slope of the line with the least squares, and its standard error.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let (x, y) = (
        mean(points.iter().map(|point| point.0)),
        mean(points.iter().map(|point| point.1)),
    );
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum::<f64>()
        / spread;
    let off: f64 = points
        .iter()
        .map(|point| (point.1 - y - slope * (point.0 - x)).powi(2))
        .sum();
    (slope, (off / (points.len() as f64 - 2.0) / spread).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten minutes of figures, one a second, with this growth and noise.
    fn slope(percent_an_hour: f64, noise: f64) -> Slope {
        let mut random = crate::random::Random::new(3);
        Slope::through((0..600).map(|second| {
            let seconds = f64::from(second);
            let grown = 1.0 + percent_an_hour / 100.0 * seconds / SECONDS_PER_HOUR;
            let noise = noise * (random.below(2_001) as f64 / 1_000.0 - 1.0);
            (seconds, 50.0 * grown * (1.0 + noise))
        }))
    }

    #[test]
    fn what_grows_is_told_from_noise() {
        let exact = slope(3.0, 0.0);
        assert!((exact.percent_an_hour - 3.0).abs() < 0.02, "{exact}");
        assert!((exact.grown - 50.0 * 0.03 / 6.0).abs() < 0.01, "{exact}");
        assert!(exact.surely_above(1.0) && !exact.surely_above(3.1));
        assert!(!slope(0.0, 0.0).surely_above(0.01));
        // A leak shows through two percent of noise, and noise alone is none.
        assert!(slope(30.0, 0.02).surely_above(1.0));
        assert!(!slope(0.0, 0.02).surely_above(1.0));
        assert!(!Slope::through([(0.0, 1.0), (1.0, 9.0)]).surely_above(1.0));
    }
}
