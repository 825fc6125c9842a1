//! Outlines of countries and the projection they are drawn in (`geo-data/build-world` made the one with the
//! other).

use std::sync::OnceLock;

use crate::model::{Country, Point};

pub const WIDTH: f64 = 960.0;
pub const HEIGHT: f64 = 418.0;

/// The Equal Earth projection (Savric, Patterson, Jenny 2018).
const A: [f64; 4] = [1.340_264, -0.081_106, 0.000_893, 0.003_796];
/// Map units for one of the projection, and its upper edge at 83.7° north.
const SCALE: f64 = 177.342_305;
const TOP: f64 = 1.305_631_749;

/// A country's shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// An SVG path.
    Outline(&'static str),
    /// Too small for one.
    Dot(f64, f64),
}

/// Every country that is drawn; `None` for land that belongs to none in ISO 3166.
pub fn shapes() -> &'static [(Option<Country>, Shape)] {
    static SHAPES: OnceLock<Vec<(Option<Country>, Shape)>> = OnceLock::new();
    SHAPES.get_or_init(|| include_str!("../../../../geo-data/world.txt").lines().filter_map(shape).collect())
}

fn shape(line: &'static str) -> Option<(Option<Country>, Shape)> {
    let (code, drawn) = line.split_once(' ')?;
    let shape = match drawn.strip_prefix(". ") {
        Some(point) => {
            let (x, y) = point.split_once(' ')?;
            Shape::Dot(x.parse().ok()?, y.parse().ok()?)
        }
        None => Shape::Outline(drawn),
    };
    Some((code.parse().ok(), shape))
}

/// Where a point is on the map.
pub fn project(point: Point) -> (f64, f64) {
    let sqrt3 = 3_f64.sqrt();
    let t = (sqrt3 / 2.0 * point.lat.to_radians().sin()).asin();
    let (t2, t6) = (t * t, t.powi(6));
    let slope = A[0] + 3.0 * A[1] * t2 + t6 * (7.0 * A[2] + 9.0 * A[3] * t2);
    let x = 2.0 / sqrt3 * point.lon.to_radians() * t.cos() / slope;
    let y = t * (A[0] + A[1] * t2 + t6 * (A[2] + A[3] * t2));
    (WIDTH / 2.0 + x * SCALE, (TOP - y) * SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builtin;

    #[test]
    fn every_country_but_antarctica_has_one_shape() {
        let missing: Vec<String> = crate::geo::atlas::countries()
            .iter()
            .filter(|facts| shapes().iter().filter(|(code, _)| *code == Some(facts.code)).count() != 1)
            .map(|facts| facts.code.to_string())
            .collect();
        assert_eq!(missing, ["AQ"]);
        assert!(shapes().iter().all(|(code, _)| code.is_none_or(|code| builtin::country(code).is_some())));
    }

    #[test]
    fn points_lie_where_the_outlines_were_drawn() {
        // As `geo-data/build-world` projects Dublin and Seoul.
        for (lat, lon, x, y) in [(53.3, -6.3, 466.5, 55.5), (37.5, 127.0, 784.7, 102.0), (0.0, 180.0, 960.0, 231.5)] {
            let (found_x, found_y) = project(Point { lat, lon });
            assert!((found_x - x).abs() < 0.1 && (found_y - y).abs() < 0.1, "{lat} {lon}: {found_x} {found_y}");
        }
    }
}
