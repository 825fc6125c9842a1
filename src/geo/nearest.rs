//! Which pool is nearest to a client.

use super::atlas;
use super::split::NearestStep;
use crate::model::{Place, Point};

/// How finely clients are placed. Coarser where the distinct orders would outgrow the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// The corner of a degree (at most 78 km away) for points that a database gives; a country's own point otherwise.
    Degree,
    /// The point of the country.
    Country,
    /// Pools in listed order.
    Listed,
}

/// Where distances to a client begin.
pub fn origin(place: &Place, precision: Precision) -> Option<Point> {
    let country = place.country.and_then(atlas::country).map(|facts| facts.point);
    match precision {
        Precision::Listed => None,
        Precision::Country => country.or_else(|| place.point.map(round)),
        Precision::Degree if place.point == country => country,
        Precision::Degree => place.point.map(round),
    }
}

fn round(point: Point) -> Point {
    // Adding zero turns -0 into 0, so that equal points have equal bits.
    Point { lat: point.lat.round() + 0.0, lon: point.lon.round() + 0.0 }
}

/// The indices of the step's pools from the nearest to the farthest; equally near ones as listed.
pub fn order(step: &NearestStep, origin: Option<Point>) -> Box<[u8]> {
    let distance = |pool: &(Option<Point>, i8)| match (origin, pool) {
        (Some(origin), (Some(point), bias)) => biased(origin.distance_km(*point), *bias),
        _ => f64::INFINITY,
    };
    let mut pools: Vec<(f64, u8)> = (0..=u8::MAX).zip(&step.pools).map(|(at, pool)| (distance(pool), at)).collect();
    pools.sort_by(|a, b| a.0.total_cmp(&b.0));
    pools.into_iter().map(|(_, at)| at).collect()
}

/// A positive bias draws clients in, a negative one sends them away.
fn biased(distance_km: f64, bias: i8) -> f64 {
    let share = f64::from(bias.clamp(-99, 99)) / 100.0;
    if share >= 0.0 { distance_km * (1.0 - share) } else { distance_km / (1.0 + share) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_placed_as_finely_as_asked() {
        let germany = atlas::country("DE".parse().unwrap()).unwrap().point;
        let munich = Point { lat: 48.14, lon: 11.58 };
        let place = |point| Place { country: "DE".parse().ok(), point, ..Place::default() };
        for (point, precision, expected) in [
            (Some(munich), Precision::Degree, Some(Point { lat: 48.0, lon: 12.0 })),
            (Some(germany), Precision::Degree, Some(germany)),
            (None, Precision::Degree, None),
            (Some(munich), Precision::Country, Some(germany)),
            (Some(munich), Precision::Listed, None),
        ] {
            assert_eq!(origin(&place(point), precision), expected, "{point:?} {precision:?}");
        }
        let zero =
            origin(&Place { point: Some(Point { lat: -0.2, lon: -0.2 }), ..Place::default() }, Precision::Degree);
        assert!(zero.is_some_and(|point| point.lat.is_sign_positive() && point.lon.is_sign_positive()));
    }

    #[test]
    fn a_bias_scales_the_distance() {
        for (bias, expected) in [(0, 1000.0), (50, 500.0), (-50, 2000.0), (99, 10.0), (127, 10.0), (-128, 100_000.0)] {
            assert!((biased(1000.0, bias) - expected).abs() < 1e-6, "{bias}");
        }
    }
}
