//! Regions on a map of the world. The lists beside it say the same in words.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::model::Country;
use crate::web::ui::filters::{Draw, percent_text};
use crate::web::ui::map::world::{HEIGHT, Shape, WIDTH, shapes};
use crate::web::ui::state::COLOURS;
use crate::web::ui::text::{Language, escaped, text};

/// The radius of a country that is too small for an outline.
const DOT: f64 = 2.2;

/// A region as the map shows it.
pub struct Land {
    pub name: String,
    pub share: f64,
    pub countries: BTreeSet<Country>,
}

/// At most as many regions as there are colours. A country of several has the colour of the smallest.
pub struct RegionMap(Vec<Land>);

impl RegionMap {
    pub fn new(mut lands: Vec<Land>) -> RegionMap {
        lands.retain(|land| !land.countries.is_empty());
        lands.sort_by(|a, b| b.share.total_cmp(&a.share));
        lands.truncate(COLOURS);
        RegionMap(lands)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// 0 for land in no region, else a colour.
    fn colour(&self, country: Option<Country>) -> usize {
        let holds = |land: &Land| country.is_some_and(|country| land.countries.contains(&country));
        self.0.iter().rposition(holds).map_or(0, |at| at + 1)
    }
}

impl Draw for RegionMap {
    fn html(&self, language: Language) -> String {
        let title = text("Regions on the map").to_html(language);
        let said = |land: &Land| format!("{} {}", escaped(&land.name), percent_text(land.share));
        let list = self.0.iter().map(said).collect::<Vec<_>>().join("; ");
        let mut paths = vec![String::new(); COLOURS + 1];
        for (country, shape) in shapes() {
            let path = &mut paths[self.colour(*country)];
            match shape {
                Shape::Outline(outline) => path.push_str(outline),
                // Writing to a string cannot fail.
                Shape::Dot(x, y) => {
                    let (left, width) = (x - DOT, 2.0 * DOT);
                    let _ = write!(path, "M{left:.1} {y}a{DOT} {DOT} 0 1 1 {width} 0a{DOT} {DOT} 0 1 1-{width} 0z");
                }
            }
        }
        let mut out = format!(
            "<svg class=\"map\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"mt md\">\
             <title id=\"mt\">{title}</title><desc id=\"md\">{list}</desc>"
        );
        for (at, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let _ = write!(out, "<path class=\"w{at}\" d=\"{path}\"/>");
        }
        out.push_str("</svg><ul class=\"legend\">");
        for (at, land) in self.0.iter().enumerate() {
            let (colour, share) = (at + 1, percent_text(land.share));
            let name = escaped(&land.name);
            let _ = write!(out, "<li><span class=\"key k{colour}\"></span>{name}, {share}</li>");
        }
        out + "</ul>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn land(name: &str, share: f64, countries: &[&str]) -> Land {
        let countries = countries.iter().map(|code| code.parse().unwrap()).collect();
        Land { name: name.into(), share, countries }
    }

    #[test]
    fn a_country_of_several_regions_has_the_colour_of_the_smallest() {
        let map = RegionMap::new(vec![
            land("dach", 0.04, &["DE", "AT"]),
            land("eu", 0.15, &["DE", "FR"]),
            land("none", 0.0, &[]),
        ]);
        let colour = |code: &str| map.colour(code.parse().ok());
        assert_eq!(["FR", "DE", "AT", "US"].map(colour), [1, 2, 2, 0]);
        assert_eq!(map.colour(None), 0);
    }

    #[test]
    fn names_of_operators_are_escaped() {
        let html = RegionMap::new(vec![land("<b>", 1.0, &["DE"])]).html(Language::English);
        assert!(html.contains("&lt;b&gt;, 100%") && !html.contains("<b>"));
    }
}
